"""Picks: which step of a training a person chose, kept in the store as an input.

Belongs here: one small file for a director and recipe.  What a pick does to the adapter is `choice`'s.

    picks/<recipe>/<director>.json       the choice
    trainings/<recipe>/<director>.json   which training was begun last: what can be chosen of
"""

import json
from dataclasses import asdict

from director_diffusion.errors import EditError, StoreError
from director_diffusion.storage.store import Store
from director_diffusion.training.rows import Pick

FILE = "pick.json"


def pick_name(recipe: str, director: str) -> str:
    """The store's name of a pick."""
    return f"picks/{recipe}/{director}.json"


def write_pick(store: Store, recipe: str, director: str, pick: Pick) -> None:
    """Record a choice in place of an earlier one."""
    store.write(pick_name(recipe, director), encode_pick(pick).encode())


def read_pick(store: Store, recipe: str, director: str) -> Pick | None:
    """The choice, or None where nobody has made one.  Raises StoreError for a file that holds none."""
    name = pick_name(recipe, director)
    return decode_pick(store.read(name).decode(), name) if store.exists(name) else None


def remove_pick(store: Store, recipe: str, director: str) -> None:
    """Leave the choice to the held-out loss again."""
    store.delete(pick_name(recipe, director))


def note_training(store: Store, recipe: str, director: str, training: str) -> None:
    """Remember which training is the newest, finished or not."""
    store.write(_training_name(recipe, director), json.dumps({"training": training}).encode())


def newest_training(store: Store, recipe: str, director: str) -> str:
    """Its identity.  Raises EditError where none was begun."""
    name = _training_name(recipe, director)
    if not store.exists(name):
        raise EditError(
            f"{director} by {recipe}",
            "has not been trained yet",
            f"Train first: director run {director} --recipe {recipe} --until adapter",
        )
    return str(json.loads(store.read(name))["training"])


def _training_name(recipe: str, director: str) -> str:
    return f"trainings/{recipe}/{director}.json"


def encode_pick(pick: Pick | None) -> str:
    """As text; null is no pick."""
    return json.dumps(None if pick is None else asdict(pick), indent=1, ensure_ascii=False) + "\n"


def decode_pick(text: str, name: str) -> Pick | None:
    """The inverse; `name` is what an error calls the text."""
    try:
        data = json.loads(text)
        return None if data is None else Pick(**data)
    except (ValueError, TypeError) as error:
        raise StoreError(name, f"holds no pick: {error}", "Pick again: director pick, or delete the file.") from error
