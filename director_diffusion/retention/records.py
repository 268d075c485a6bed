"""Records: small files of a store that there are one of for a recipe and director.

Belongs here: listing them.
"""

from collections.abc import Iterator

from director_diffusion.storage.store import Store


def records(store: Store, folder: str) -> Iterator[tuple[str, str]]:
    """Recipe and director of the records of a kind."""
    for name in sorted(store.sizes(folder)):
        recipe, _, file = name.partition("/")
        if file.endswith(".json") and "/" not in file:
            yield recipe, file.removesuffix(".json")
