"""Turbo evaluation: what each few-step student keeps of its adapter.

Belongs here: the stage.  What is asked of students is `director_diffusion.evaluation.few_steps`'.
"""

import dagster as dg

from assets_defs.common import director_of, encoders_of, fingerprints_of, judging_spec, models_of, of_recipe
from assets_defs.turbo_samples import TURBO_SAMPLES
from director_diffusion.evaluation.few_steps_checks import CHECKS
from director_diffusion.sampling.rows import FILE, Sample
from director_diffusion.specs import EvaluationPlan, Project, Recipe
from director_diffusion.stills.learned import FILE as LEARNED_FILE
from director_diffusion.stills.learned import decode_learned
from director_diffusion.storage import Artifact
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

TURBO_EVALUATION = "turbo_evaluation"


def turbo_evaluation_asset(
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
            **({"few steps in": plan.margins.few_steps_in} if plan.margins.few_steps_in else {}),
        },
        fingerprints=fingerprints_of(sources),
        reads={"samples": of_recipe(recipe, TURBO_SAMPLES)},
        checks=CHECKS,
        after=models_of(*sources.values()),
        needs=one_gpu(),
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
