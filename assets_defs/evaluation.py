"""Evaluation: how much closer to the director, at what cost to the prompt, and how sure that is.

Belongs here: the evaluation stage of a recipe and its check.  Scores, intervals and the verdict live in
`director_diffusion.evaluation`.
"""

import dagster as dg

from assets_defs.common import GPU, director_of, models_of, of_recipe
from director_diffusion.evaluation.checks import CHECKS
from director_diffusion.evaluation.types import EMBEDDING_VERSION
from director_diffusion.sampling.rows import FILE, Sample
from director_diffusion.specs import EvaluationPlan, Recipe
from director_diffusion.storage import Artifact
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def evaluation_asset(partitions: dg.PartitionsDefinition, recipe: Recipe, plan: EvaluationPlan) -> dg.AssetsDefinition:
    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        group=recipe.slug,
        version="1",
        spec={"embedding": EMBEDDING_VERSION, "plan": plan.judging()},
        fingerprints=lambda resources: {"embedder": resources.models.fingerprint(plan.embedder.source)},
        reads={"samples": of_recipe(recipe, "samples")},
        checks=CHECKS,
        after=models_of(plan.embedder.source),
        pool=GPU,
        kinds={"pytorch", "parquet"},
        fresh=True,
    )
    def evaluation(run: StageRun, samples: Artifact, stills: Artifact, director: Artifact) -> StageResult:
        """Per-image scores, the adapter's effects with their intervals, and the verdict by the plan's margins."""
        from director_diffusion.evaluation.checks import judge
        from director_diffusion.evaluation.evaluate import evaluate
        from director_diffusion.evaluation.plots import effects_plot
        from director_diffusion.stills.still_set import StillSet

        models = run.resources.models
        result = evaluate(
            samples.table(FILE, Sample),
            StillSet.of(stills),
            plan,
            director_of(director),
            models.folder(plan.embedder.source),
            embedder_fingerprint=models.fingerprint(plan.embedder.source),
            store=run.store,
            fresh=run.fresh,
            device=run.resources.machine.device,
            out=run.out,
            progress=run.progress,
        )
        style, prompt = result.effect("style", "base_in_style"), result.effect("prompt", "base")
        return run.result(
            facts={
                "verdict": result.verdict.outcome,
                "style effect": style.mean,
                "style interval": f"{style.low:+.4f} to {style.high:+.4f}",
                "prompt effect": prompt.mean,
                "prompt interval": f"{prompt.low:+.4f} to {prompt.high:+.4f}",
            },
            pictures={"effects": effects_plot(result.effects, result.margins)},
            checks=judge(result),
        )

    return evaluation
