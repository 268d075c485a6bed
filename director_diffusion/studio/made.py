"""Made: what visitors are told where there is nothing of an asset yet.

Belongs here: that answer.
"""

from director_diffusion.errors import OrderError
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import is_made


def check_made(store: Store, asset: tuple[str, ...], director: str) -> None:
    """Raises OrderError, saying how it is made, where it is not."""
    if not is_made(store, asset, director):
        name = asset[-1]
        raise OrderError(director, f"has no {name} yet", f"Make them first: director run {director} --until {name}")
