"""Adapters: how a page names them.

Belongs here: a choice of recipe and director as one value, and back.
"""

from director_diffusion.errors import OrderError
from director_diffusion.studio.orders import checked_choice, checked_text
from director_diffusion.studio.studio import Studio

_MOST = 200  # characters


def choices(studio: Studio) -> list[tuple[str, str]]:
    """Labels and values of the adapters that may be drawn with."""
    return [
        (label_of(studio, recipe, director), value_of(recipe, director))
        for recipe in studio.recipes
        for director in studio.desk.directors(recipe)
    ]


def value_of(recipe: str, director: str) -> str:
    """What a browser sends for it."""
    return f"{recipe}/{director}"


def label_of(studio: Studio, recipe: str, director: str) -> str:
    """What people read: the recipe too, where there are several."""
    name = studio.directors[director].name
    return name if len(studio.recipes) == 1 else f"{name} ({recipe})"


def adapter_of(studio: Studio, value: object) -> tuple[str, str]:
    """Recipe and director of a value that came from outside.  Raises OrderError for any other."""
    if value is None or value == "":
        raise OrderError("director", "is not chosen", "Choose one.")
    recipe, _, director = checked_text("director", value, _MOST).partition("/")
    return checked_choice("recipe", recipe, studio.recipes), checked_choice("director", director, studio.directors)
