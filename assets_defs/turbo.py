"""Turbo: few-step students of a recipe's adapter.

Belongs here: their training, pictures and evaluation, beside the adapter in all its steps.  How they learn is
`director_diffusion.distillation`'s.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from assets_defs.common import (
    GPU,
    director_of,
    drawing_spec,
    encoders_of,
    fingerprints_of,
    how_drawn,
    judging_spec,
    models_of,
    of_base,
    of_recipe,
    same_making,
)
from assets_defs.drawing import draw_arms, worn
from director_diffusion.distillation.checks import CHECKS as STUDENTS_CHECKS
from director_diffusion.distillation.rows import TURBO_VERSION, steps_of, weights_file
from director_diffusion.evaluation.few_steps_checks import CHECKS as FEW_STEPS_CHECKS
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import FILE as PROMPTS_FILE
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.sampling.rows import FILE, STOCK_ARMS, TURBO_ARMS, Arm, Sample
from director_diffusion.sampling.samplers import plan_sampler
from director_diffusion.specs import Base, ConsistencyTurbo, EvaluationPlan, Project, Recipe, StockWeights, Turbo
from director_diffusion.stills.learned import FILE as LEARNED_FILE
from director_diffusion.stills.learned import decode_learned, learned_of, write_learned
from director_diffusion.storage import Artifact
from director_diffusion.training.rows import WEIGHTS
from resources.interrupts import interruptible
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

if TYPE_CHECKING:
    from director_diffusion.sampling.draw import Worn
    from resources.models import ModelsResource

TURBO_ADAPTER, TURBO_SAMPLES, TURBO_EVALUATION = "turbo_adapter", "turbo_samples", "turbo_evaluation"
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
        _adapter_asset(partitions, base, recipe, recipe.turbo, plan),
        _samples_asset(partitions, base, recipe, recipe.turbo, plan),
        _evaluation_asset(partitions, project, recipe, plan),
    ]


def _adapter_asset(
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
        checks=STUDENTS_CHECKS,
        after=models_of(taught_on.source),
        pool=GPU,
        kinds={"pytorch", "peft", "safetensors"},
    )
    def turbo_adapter(
        run: StageRun, adapter: Artifact, prompt_embeddings: Artifact, director: Artifact, **further: Artifact
    ) -> StageResult:
        """Weights that draw as the adapter does in a few steps, worn on top of it: a file for each number of steps."""
        from director_diffusion.distillation.checks import judge_students
        from director_diffusion.distillation.header import header_of_student
        from director_diffusion.distillation.job import StudentJob
        from director_diffusion.distillation.student import distil
        from director_diffusion.sampling.draw import drawn_by
        from director_diffusion.training.header import HELD_OUT_LOSS, check_trigger
        from director_diffusion.training.plots import curve_plot

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
        facts: dict[str, int | float | str] = {"teacher's steps": turbo.teacher_steps}
        for one in students:
            title = steps_of(one.count)
            facts |= {
                f"{title}: held-out loss": one.held_out_loss,
                f"{title}: that of the adapter itself": one.untaught_loss,
                f"{title}: seconds": round(one.seconds, 1),
            }
        return run.result(
            facts=facts,
            pictures={
                f"training curve, {steps_of(one.count)}": curve_plot(one.curve, one.chosen_step, HELD_OUT_LOSS)
                for one in students
            },
            checks=judge_students(students),
        )

    return turbo_adapter


def _samples_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, turbo: Turbo, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    drawn_with, seeds = base.drawn_with, plan.seeds_of("release")
    stock = turbo.baseline if isinstance(turbo, ConsistencyTurbo) else None

    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        name=TURBO_SAMPLES,
        group=recipe.slug,
        version="1",
        spec={
            **how_drawn(drawn_with, plan),
            "prompts": plan.prompts,
            "seeds": seeds,
            "step counts": turbo.step_counts,
            **({} if stock is None else {"stock": stock}),
        },
        fingerprints=lambda resources: {
            "base": resources.models.fingerprint(drawn_with.source),
            **({} if stock is None else {"stock": resources.models.fingerprint(stock.only_weights)}),
        },
        reads={"adapter": of_recipe(recipe, "adapter"), "turbo_adapter": of_recipe(recipe, TURBO_ADAPTER)},
        after=models_of(drawn_with.source),
        pool=GPU,
        kinds={"pytorch", "diffusers"},
        fresh=True,
    )
    def turbo_samples(run: StageRun, adapter: Artifact, turbo_adapter: Artifact, director: Artifact) -> StageResult:
        """Images of the base arms, the adapter in all its steps and each student in its few, from the same noise."""
        again = f"{recipe.slug}/{TURBO_ADAPTER}"
        same_making(turbo_adapter, of_recipe(recipe, "adapter"), adapter, again=again)
        person = director_of(director)
        full = worn(adapter, WEIGHTS)
        adapters: dict[Arm, Worn] = {"adapter": full}
        for count in turbo.step_counts:
            adapters[TURBO_ARMS[count]] = worn(turbo_adapter, weights_file(count), on=full)
            if stock is not None:
                adapters[STOCK_ARMS[count]] = _stock(run.resources.models, stock, on=full)
        return draw_arms(
            run,
            drawn_with,
            plan.asked_of(person).model_copy(update={"folds": 1}),  # what folds stand for is the adapter's own matter
            person,
            adapters,
            learned=dict.fromkeys(adapters, learned_of(adapter)),
            seeds=seeds,
        )

    return turbo_samples


def _evaluation_asset(
    partitions: dg.PartitionsDefinition, project: Project, recipe: Recipe, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    sources = plan.sources(project.captioner.source)

    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        name=TURBO_EVALUATION,
        group=recipe.slug,
        version="2",
        spec={
            **judging_spec(project, plan),
            "few steps": plan.margins.few_steps,
        },
        fingerprints=fingerprints_of(sources),
        reads={"samples": of_recipe(recipe, TURBO_SAMPLES)},
        checks=FEW_STEPS_CHECKS,
        after=models_of(*sources.values()),
        pool=GPU,
        kinds={"pytorch", "json"},
        fresh=True,
    )
    def turbo_evaluation(run: StageRun, samples: Artifact, stills: Artifact, director: Artifact) -> StageResult:
        """What each student keeps of the adapter's style and fidelity, with intervals, and a verdict for each."""
        from director_diffusion.evaluation.few_steps import evaluate_few_steps
        from director_diffusion.evaluation.few_steps_checks import facts_of, judge, table_of
        from director_diffusion.stills.still_set import StillSet

        person = director_of(director)
        result = evaluate_few_steps(
            samples.table(FILE, Sample),
            decode_learned(samples.read(LEARNED_FILE)),
            StillSet.of(stills),
            plan.asked_of(person),
            plan.seeds_of("release"),
            person,
            encoders_of(run, project, plan),
            store=run.store,
            out=run.out,
            progress=run.progress,
        )
        return run.result(facts=facts_of(result), pictures={"students": table_of(result)}, checks=judge(result))

    return turbo_evaluation


def _stock(models: "ModelsResource", stock: StockWeights, *, on: "Worn") -> "Worn":
    from director_diffusion.errors import ModelError
    from director_diffusion.hashing import hash_file
    from director_diffusion.sampling.draw import Worn

    path = models.folder(stock.only_weights) / stock.weights
    if not path.is_file():
        raise ModelError(str(path), "is not there", "Mend `turbo.baseline` in the recipe.")
    return Worn(path, hash_file(path), on, stock.scheduler)
