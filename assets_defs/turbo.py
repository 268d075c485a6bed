"""Turbo: few-step students of a recipe's adapter.

Belongs here: which stages there are, and what others read of them.  Each is a module beside this one.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from assets_defs.common import of_recipe, same_making
from assets_defs.turbo_adapter import TURBO_ADAPTER, turbo_adapter_asset
from assets_defs.turbo_evaluation import TURBO_EVALUATION, turbo_evaluation_asset
from assets_defs.turbo_samples import TURBO_SAMPLES, turbo_samples_asset
from director_diffusion.specs import Base, EvaluationPlan, Project, Recipe
from director_diffusion.storage import Artifact

TURBO_STAGES = (TURBO_ADAPTER, TURBO_SAMPLES, TURBO_EVALUATION)


def turbo_inputs(recipe: Recipe) -> dict[str, dg.AssetKey]:
    """What else a stage reads that tells of students; nothing where the recipe asks for none."""
    return {} if recipe.turbo is None else {name: of_recipe(recipe, name) for name in TURBO_STAGES}


def same_students(
    recipe: Recipe, adapter: Artifact, further: Mapping[str, Artifact]
) -> tuple[Artifact, Artifact, Artifact] | None:
    """The students, their pictures and their evaluation, where there are some.

    Raises StoreError unless they are of this adapter, and each is of the one before.
    """
    if TURBO_ADAPTER not in further:
        return None
    taught, drawn, judged = (further[name] for name in TURBO_STAGES)
    for made, name, of in (
        (taught, "adapter", adapter),
        (drawn, TURBO_ADAPTER, taught),
        (judged, TURBO_SAMPLES, drawn),
    ):
        same_making(made, of_recipe(recipe, name), of, again="/".join(made.manifest.asset))
    return taught, drawn, judged


def turbo_assets(
    partitions: dg.PartitionsDefinition, project: Project, base: Base, recipe: Recipe, plan: EvaluationPlan
) -> Sequence[dg.AssetsDefinition]:
    """Students, their pictures, and what is said of these; nothing where the recipe asks for none."""
    if recipe.turbo is None:
        return []
    return [
        turbo_adapter_asset(partitions, base, recipe, recipe.turbo, plan),
        turbo_samples_asset(partitions, base, recipe, recipe.turbo, plan),
        turbo_evaluation_asset(partitions, project, recipe, plan),
    ]
