"""Adapter: the director's style, learned.

Belongs here: the training stage of a recipe where stills are held out of the adapter itself.  Where a plan asks for two
folds, `fold_adapters` has it.
"""

import dagster as dg

from assets_defs.training import ADAPTER, train, training_job, training_stage
from director_diffusion.specs import Base, EvaluationPlan, Recipe
from director_diffusion.storage import Artifact
from resources.stage_run import StageResult, StageRun


def adapter_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    @training_stage(partitions, base, recipe, plan, ADAPTER)
    def adapter(
        run: StageRun,
        latents: Artifact,
        prompt_embeddings: Artifact,
        pick: Artifact,
        director: Artifact,
        **further: Artifact,
    ) -> StageResult:
        """Weights trained on the stills, the curve, and the step that held-out stills or a person chose."""
        job = training_job(run, base, recipe, plan, latents, prompt_embeddings, further)
        return train(run, job, director, pick)

    return adapter
