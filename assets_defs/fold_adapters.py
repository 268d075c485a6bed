"""Fold adapters: a style judged by two adapters that each lack some stills, and the one that learned them all.

Belongs here: the three training stages of a recipe where the plan asks for two folds.  Which stills a fold holds out is
`director_diffusion.stills.split`'s.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from assets_defs.common import director_of, of_recipe, same_making
from assets_defs.training import ADAPTER, AdapterName, train, training_job, training_stage
from director_diffusion.sampling.rows import FOLD_ARMS, Arm
from director_diffusion.specs import Base, EvaluationPlan, Recipe
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.storage import Artifact
from director_diffusion.training.rows import RESULT_FILE
from resources.stage_run import StageResult, StageRun

FOLD_ADAPTERS: Mapping[Arm, AdapterName] = {
    "first_fold": "first_fold_adapter",
    "second_fold": "second_fold_adapter",
}
"""The asset whose weights an arm wears."""


def fold_inputs(recipe: Recipe, plan: EvaluationPlan) -> dict[str, dg.AssetKey]:
    """What else a stage reads that needs every arm's adapter; nothing where there is one fold."""
    return {arm: of_recipe(recipe, name) for arm, name in FOLD_ADAPTERS.items()} if plan.folds == 2 else {}


def folds_of(further: Mapping[str, Artifact]) -> dict[Arm, Artifact]:
    """Of a stage's further inputs, the folds' adapters by arm."""
    return {arm: further[arm] for arm in FOLD_ADAPTERS if arm in further}


def same_folds(recipe: Recipe, adapter: Artifact, further: Mapping[str, Artifact]) -> None:
    """Raise StoreError unless these folds, where there are some, are those that chose the adapter's step."""
    for arm, fold in folds_of(further).items():
        same_making(adapter, of_recipe(recipe, FOLD_ADAPTERS[arm]), fold, again=f"{recipe.slug}/{ADAPTER}")


def fold_adapter_assets(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, plan: EvaluationPlan
) -> Sequence[dg.AssetsDefinition]:
    """Both folds' adapters, then the one that is released."""
    folds = [_fold_adapter_asset(partitions, base, recipe, plan, arm) for arm in FOLD_ARMS]
    return [*folds, _released_adapter_asset(partitions, base, recipe, plan)]


def _fold_adapter_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, plan: EvaluationPlan, arm: Arm
) -> dg.AssetsDefinition:
    @training_stage(partitions, base, recipe, plan, FOLD_ADAPTERS[arm])
    def fold_adapter(
        run: StageRun,
        latents: Artifact,
        prompt_embeddings: Artifact,
        stills: Artifact,
        director: Artifact,
        **further: Artifact,
    ) -> StageResult:
        """Weights trained without the stills of one fold, for the recipe's style to be judged by; never published."""
        from director_diffusion.stills.split import second_fold
        from director_diffusion.training.folds import with_split

        same_making(latents, dg.AssetKey(["stills"]), stills, again=f"{base.slug}/latents")
        rules = director_of(director).stills
        second = second_fold(stills.table(STILLS_FILE, Still), rules.held_out_share)  # or there is none: said at once
        job = training_job(run, base, recipe, plan, latents, prompt_embeddings, further)
        return train(run, with_split(job, second) if arm == "second_fold" else job, director)

    return fold_adapter


def _released_adapter_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    @training_stage(partitions, base, recipe, plan, ADAPTER, reads=fold_inputs(recipe, plan))
    def adapter(
        run: StageRun,
        latents: Artifact,
        prompt_embeddings: Artifact,
        first_fold: Artifact,
        second_fold: Artifact,
        pick: Artifact,
        director: Artifact,
        **further: Artifact,
    ) -> StageResult:
        """Weights trained on all stills, the curve, and the step: the mean of the two folds', or a person's choice."""
        from director_diffusion.training.folds import on_all_stills

        folds, data = (first_fold, second_fold), [latents, prompt_embeddings, *_prior(further)]
        again = " and ".join(f"{recipe.slug}/{name}" for name in FOLD_ADAPTERS.values())
        for fold in folds:
            for made_of in data:
                same_making(fold, dg.AssetKey(made_of.manifest.asset), made_of, again=again)
        job = training_job(run, base, recipe, plan, latents, prompt_embeddings, further)
        job = on_all_stills(job, [fold.json(RESULT_FILE)["chosen_step"] for fold in folds])
        return train(run, job, director, pick)

    return adapter


def _prior(further: Mapping[str, Artifact]) -> list[Artifact]:
    return [further["prior"]] if "prior" in further else []
