"""Choices: what the words of a command mean in the project at hand."""

from collections.abc import Sequence

from director_diffusion.errors import SpecError
from pipelines.surroundings import Surroundings


def choose_directors(surroundings: Surroundings, wanted: Sequence[str]) -> list[str]:
    """The directors meant, each once; all of the project where none is named.  Raises SpecError for unknown words."""
    known = [director.slug for director in surroundings.catalog.project_directors(surroundings.project)]
    for slug in wanted:
        if slug not in known:
            raise SpecError(
                slug,
                f"is no director of project {surroundings.project.slug}",
                f"Choose of {', '.join(known)}, or add one: director add {slug} --stills FOLDER",
            )
    return list(dict.fromkeys(wanted)) or known


def choose_recipes(surroundings: Surroundings, wanted: str | None) -> list[str]:
    """The recipe meant, or all of the project where none is named.  Raises SpecError for an unknown word."""
    known = list(surroundings.project.recipes)
    if wanted is None:
        return known
    if wanted not in known:
        raise SpecError(
            wanted, f"is no recipe of project {surroundings.project.slug}", f"Choose of {', '.join(known)}."
        )
    return [wanted]


def choose_recipe(surroundings: Surroundings, director: str, recipe: str | None) -> str:
    """The one recipe meant, which may be left out where the project has one.  Raises SpecError for unknown words."""
    choose_directors(surroundings, [director])
    recipes = choose_recipes(surroundings, recipe)
    if len(recipes) > 1:
        raise SpecError("--recipe", "is needed: the project has several", f"Choose of {', '.join(recipes)}.")
    return recipes[0]


def choose_gpus(surroundings: Surroundings, wanted: int | None) -> dict[str, str]:
    """Tags of runs whose steps may share so many GPUs.  Raises SpecError where the deployment has fewer."""
    from resources.needs import GPUS_TAG

    if wanted is None:
        return {}
    gpus = surroundings.deployment.gpus
    if gpus and wanted > gpus:
        raise SpecError(
            f"--gpus {wanted}",
            f"is more than the GPUs of deployment {surroundings.deployment.slug}: {gpus}",
            f"Give {gpus} or fewer.",
        )
    return {GPUS_TAG: str(wanted)}


def signature(who: str | None, why: str | None) -> tuple[str, str]:
    """A name and a reason, given on purpose: no default is one.  Raises SpecError where either is missing or blank."""
    name, reason = (who or "").strip(), (why or "").strip()
    if not name or not reason:
        raise SpecError("--who and --why", "are both needed", "Say who answers for it, and for what reason.")
    return name, reason
