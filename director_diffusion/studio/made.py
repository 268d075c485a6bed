"""Made: whether there is anything of an asset yet, before a tab reads it.

Belongs here: that question, and its answer to visitors.
"""

from director_diffusion.errors import OrderError
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import partition_folder


def is_made(store: Store, asset: tuple[str, ...], director: str) -> bool:
    """Whether readers would see anything of it."""
    return store.exists(f"{partition_folder(asset, director)}/latest.json")


def check_made(store: Store, asset: tuple[str, ...], director: str) -> None:
    """Raises OrderError, saying how it is made, where it is not."""
    if not is_made(store, asset, director):
        name = asset[-1]
        raise OrderError(director, f"has no {name} yet", f"Make them first: director run {director} --until {name}")
