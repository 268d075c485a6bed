"""Choices: what the words of a command mean in the project at hand."""

from director_diffusion.errors import SpecError
from pipelines.surroundings import Surroundings


def choose_recipe(surroundings: Surroundings, director: str, recipe: str | None) -> str:
    """The recipe meant, which may be left out where the project has one.  Raises SpecError for unknown words."""
    directors = [one.slug for one in surroundings.catalog.project_directors(surroundings.project)]
    if director not in directors:
        raise SpecError(director, "is no director of this project", f"Choose of {', '.join(directors)}.")
    recipes = surroundings.project.recipes
    if recipe is None and len(recipes) > 1:
        raise SpecError("--recipe", "is needed: the project has several", f"Choose of {', '.join(recipes)}.")
    if recipe is not None and recipe not in recipes:
        raise SpecError(recipe, "is no recipe of this project", f"Choose of {', '.join(recipes)}.")
    return recipe or recipes[0]
