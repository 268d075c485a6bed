"""Turbo adapter: few-step students of a recipe's adapter.

Belongs here: their training.  How they learn is `director_diffusion.distillation`'s.
"""

import dagster as dg

from assets_defs.common import director_of, drawing_spec, models_of, of_base, of_recipe, same_making
from director_diffusion.distillation.checks import CHECKS
from director_diffusion.distillation.rows import TURBO_VERSION
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import FILE as PROMPTS_FILE
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.sampling.samplers import plan_sampler
from director_diffusion.specs import Base, ConsistencyTurbo, EvaluationPlan, Recipe, Turbo
from director_diffusion.stills.learned import learned_of, write_learned
from director_diffusion.storage import Artifact
from director_diffusion.training.rows import WEIGHTS
from resources.interrupts import interruptible
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

TURBO_ADAPTER = "turbo_adapter"


def turbo_adapter_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, turbo: Turbo, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    taught_on = base.drawn_with  # students draw with what draws the adapter's own pictures
    guidance = plan_sampler(plan, taught_on).guidance
    of_stills = ("latents",) if isinstance(turbo, ConsistencyTurbo) else ()  # what segments start from is noise

    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        name=TURBO_ADAPTER,
        group=recipe.slug,
        version="1",
        spec={
            "version": TURBO_VERSION,
            "base": drawing_spec(taught_on),
            "turbo": turbo,
            "precision": recipe.precision,
            "guidance": guidance,
        },
        fingerprints=lambda resources: {"base": resources.models.fingerprint(taught_on.source)},
        reads={
            "adapter": of_recipe(recipe, "adapter"),
            "prompt_embeddings": of_base(base, "prompt_embeddings"),
        },
        further={name: of_base(base, name) for name in of_stills},
        checks=CHECKS,
        after=models_of(taught_on.source),
        needs=one_gpu(),
        kinds={"pytorch", "peft", "safetensors"},
    )
    def turbo_adapter(
        run: StageRun, adapter: Artifact, prompt_embeddings: Artifact, director: Artifact, **further: Artifact
    ) -> StageResult:
        """Weights that draw as the adapter does in a few steps, worn on top of it: a file for each number of steps."""
        from director_diffusion.distillation.checks import judge_students
        from director_diffusion.distillation.header import header_of_student
        from director_diffusion.distillation.job import StudentJob
        from director_diffusion.distillation.shown import curves_of_students, facts_of_students
        from director_diffusion.distillation.student import distil
        from director_diffusion.sampling.wearing import drawn_by
        from director_diffusion.training.header import check_trigger

        person, models = director_of(director), run.resources.models
        weights, device = adapter.path(WEIGHTS), run.place.device
        check_trigger(weights, person)
        for name, data in {"prompt_embeddings": prompt_embeddings, **further}.items():  # no others are in its `learned`
            same_making(adapter, of_base(base, name), data, again=f"{recipe.slug}/adapter")
        job = StudentJob(
            director=run.director,
            prompts=tuple(prompt_embeddings.table(PROMPTS_FILE, PromptRow)),
            latents=tuple(row for source in further.values() for row in source.table(LATENTS_FILE, LatentRow)),
            base=taught_on,
            recipe=recipe,
            guidance=guidance,
            folder=models.base_folder(taught_on),
            base_fingerprint=models.fingerprint(taught_on.source),
            adapter=weights,
            drawn_by=drawn_by(device),
            store=run.store,
            work=run.unfinished("trainings"),
            device=device,
        )
        with interruptible() as stop:
            students = distil(
                job, out=run.out, metadata=header_of_student(job, weights), progress=run.progress, stop=stop
            )
        write_learned(run.out, {"adapter": learned_of(adapter)})
        return run.result(
            facts={"teacher's steps": turbo.teacher_steps, **facts_of_students(students)},
            pictures=curves_of_students(students),
            checks=judge_students(students),
        )

    return turbo_adapter
