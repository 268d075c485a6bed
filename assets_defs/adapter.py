"""Adapter: the director's style, learned.

Belongs here: the training stage of a recipe and its checks.  The process, the loop and the file format live in
`director_diffusion.training` and `director_diffusion.adapters`.
"""

import dagster as dg

from assets_defs.common import GPU, director_of, drawing_spec, learned_of, models_of, of_base, of_recipe
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import FILE as PROMPTS_FILE
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, EvaluationPlan, Recipe
from director_diffusion.storage import Artifact
from director_diffusion.training.checks import CHECKS
from director_diffusion.training.identity import TRAINING_VERSION
from director_diffusion.training.picks import FILE as PICK_FILE
from director_diffusion.training.rows import WEIGHTS
from resources.interrupts import interruptible
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def adapter_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    optional = {"init": dg.AssetKey([recipe.init_from, "adapter"])} if recipe.init_from else {}
    if recipe.prior is not None:
        optional["prior"] = of_recipe(recipe, "prior")

    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        group=recipe.slug,
        version="3",
        spec={
            "training": TRAINING_VERSION,
            "base": {"model_id": base.model_id, **drawing_spec(base)},
            "recipe": recipe,
            "previews": plan.previews,  # draws them of what is trained already
            "preview aspect": plan.sampling.aspect,
        },
        fingerprints=lambda resources: {"base": resources.models.fingerprint(base.source)},
        reads={
            "latents": of_base(base, "latents"),
            "prompt_embeddings": of_base(base, "prompt_embeddings"),
            "pick": of_recipe(recipe, "pick"),
        },
        further=optional,
        checks=CHECKS,
        after=models_of(base.source),
        pool=GPU,
        kinds={"pytorch", "peft", "safetensors"},
    )
    def adapter(
        run: StageRun,
        latents: Artifact,
        prompt_embeddings: Artifact,
        pick: Artifact,
        director: Artifact,
        **further: Artifact,
    ) -> StageResult:
        """Weights trained on the stills, the curve, and the step that held-out stills or a person chose."""
        from director_diffusion.training.checks import judge
        from director_diffusion.training.header import header_of
        from director_diffusion.training.job import TrainingJob
        from director_diffusion.training.picks import decode_pick
        from director_diffusion.training.plots import curve_plot
        from director_diffusion.training.train import train_adapter

        models, sources = run.resources.models, [latents, *([further["prior"]] if "prior" in further else [])]
        job = TrainingJob(
            director=run.director,
            latents=tuple(row for source in sources for row in source.table(LATENTS_FILE, LatentRow)),
            prompts=tuple(
                row for source in [prompt_embeddings, *sources[1:]] for row in source.table(PROMPTS_FILE, PromptRow)
            ),
            base=base,
            recipe=recipe,
            folder=models.base_folder(base),
            base_fingerprint=models.fingerprint(base.source),
            store=run.store,
            work=run.unfinished("trainings"),
            device=run.resources.machine.device,
            init=further["init"].path(WEIGHTS) if "init" in further else None,
            init_learned=learned_of(further["init"]) if "init" in further else frozenset(),
            previews=plan.previews,
            preview_aspect=plan.sampling.aspect,
            processes=run.resources.machine.training_processes,
        )
        with interruptible() as stop:
            trained = train_adapter(
                job,
                out=run.out,
                metadata=header_of(job, director_of(director)),
                progress=run.progress,
                pick=decode_pick(pick.path(PICK_FILE).read_text(encoding="utf-8"), PICK_FILE),
                stop=stop,
            )
        result = trained.result
        facts: dict[str, int | float | str] = {}
        if result.training_seconds:
            facts = {
                "seconds of training": round(result.training_seconds, 1),
                "seconds of previews": round(result.preview_seconds, 1),
                "previews' share of the time": round(result.preview_seconds / result.training_seconds, 4),
            }
        return run.result(
            facts={
                "training": result.training,
                "steps": recipe.steps,
                "trained steps": result.trained_steps,
                "chosen step": result.chosen_step,
                "chosen by": result.chosen_by,
                "strength": result.strength,
                "held-out loss": result.held_out_loss,
                "held-out loss of the base": result.base_held_out_loss,
                "trainable parameters": result.trainable_parameters,
                "adapted linears": result.adapted_linears,
                **facts,
            },
            pictures={
                "training curve": curve_plot(result.curve, result.chosen_step, result.chosen_by),
                **trained.pictures,
            },
            checks=judge(result),
            references=trained.references,
        )

    return adapter
