"""Adapter: the director's style, learned.

Belongs here: the training stage of a recipe and its check.  The objective, the loop and the file format live in
`director_diffusion.training`.
"""

import dagster as dg

from assets_defs.common import GPU, drawing_spec, models_of, of_base
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import FILE as PROMPTS_FILE
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, Recipe
from director_diffusion.storage import Artifact
from director_diffusion.training.checks import CHECKS
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def adapter_asset(partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe) -> dg.AssetsDefinition:
    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        group=recipe.slug,
        version="1",
        spec={"base": drawing_spec(base), "recipe": recipe},
        fingerprints=lambda resources: {"base": resources.models.fingerprint(base.source)},
        reads={"latents": of_base(base, "latents"), "prompt_embeddings": of_base(base, "prompt_embeddings")},
        checks=CHECKS,
        after=models_of(base.source),
        pool=GPU,
        kinds={"pytorch", "peft", "safetensors"},
    )
    def adapter(run: StageRun, latents: Artifact, prompt_embeddings: Artifact) -> StageResult:
        """Low-rank weights trained on the stills, the training curve, and the checkpoint that held-out stills chose."""
        from director_diffusion.training.checks import judge
        from director_diffusion.training.loop import train_adapter
        from director_diffusion.training.plots import curve_plot

        result = train_adapter(
            latents.table(LATENTS_FILE, LatentRow),
            prompt_embeddings.table(PROMPTS_FILE, PromptRow),
            base,
            recipe,
            run.resources.models.base_folder(base),
            store=run.store,
            work=run.work,
            out=run.out,
            device=run.resources.machine.device,
            metadata={"director": run.director, "recipe": recipe.slug, **run.versions},
            progress=run.progress,
        )
        return run.result(
            facts={
                "steps": recipe.steps,
                "chosen step": result.chosen_step,
                "held-out loss": result.held_out_loss,
                "held-out loss of the base": result.base_held_out_loss,
                "trainable parameters": result.trainable_parameters,
                "adapted linears": result.adapted_linears,
            },
            previews={"training curve": curve_plot(result.curve)},
            checks=judge(result),
        )

    return adapter
