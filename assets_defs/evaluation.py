"""Evaluation: how much closer to the director, at what cost to the prompt, and how sure that is.

Belongs here: the evaluation stages of a recipe, a draft after every training and a release before publishing, those of
its further adapters beside its own, and their checks.  Scores, intervals and the verdict live in
`director_diffusion.evaluation`.
"""

from collections.abc import Collection
from datetime import UTC, datetime

import dagster as dg

from assets_defs.canary import CANARY
from assets_defs.common import (
    director_of,
    encoders_of,
    fingerprints_of,
    judging_spec,
    models_of,
    of_base,
    of_recipe,
)
from assets_defs.reference_set import REFERENCE_SET
from assets_defs.samples import samples_name
from director_diffusion.evaluation.checks import CHECKS
from director_diffusion.sampling.rows import DRAWING_FILE, FILE, Sample
from director_diffusion.specs import Base, EvaluationPlan, Project, Recipe, Tier
from director_diffusion.stills.learned import FILE as LEARNED_FILE
from director_diffusion.stills.learned import decode_learned
from director_diffusion.storage import Artifact
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def evaluation_name(tier: Tier, of: str = "") -> str:
    return f"{of}evaluation" if tier == "draft" else "release_evaluation"


def evaluation_asset(
    partitions: dg.PartitionsDefinition,
    project: Project,
    base: Base,
    recipe: Recipe,
    plan: EvaluationPlan,
    tier: Tier,
    of: str = "",
) -> dg.AssetsDefinition:
    """Of the recipe's adapter, beside what was published before it; or of another of the director's, whose assets'
    names begin with `of`, beside the recipe's adapter."""
    sources = plan.sources(project.captioner.source)
    beside = {"beside": of_recipe(recipe, evaluation_name(tier))}

    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        name=evaluation_name(tier, of),
        group=recipe.slug,
        version="4",
        spec={**judging_spec(project, plan, tier), "tier": tier},
        fingerprints=fingerprints_of(sources),
        reads={
            "samples": of_recipe(recipe, samples_name(tier, of)),
            "canary": of_base(base, CANARY),
        },
        further=beside if of else {"published_before": of_recipe(recipe, "published_before")},
        gathers={"references": dg.AssetKey([REFERENCE_SET])},
        checks=CHECKS,
        after=models_of(*sources.values()),
        needs=one_gpu(),
        kinds={"pytorch", "parquet"},
        fresh=True,
    )
    def evaluation(
        run: StageRun,
        samples: Artifact,
        stills: Artifact,
        director: Artifact,
        canary: Artifact,
        references: dict[str, Artifact],
        **further: Artifact,
    ) -> StageResult:
        """Per-image scores, the adapter's effects with their intervals, and the verdict by the plan's margins."""
        from director_diffusion.evaluation.beside import facts_of_beside, set_beside, table_of_beside
        from director_diffusion.evaluation.checks import judge
        from director_diffusion.evaluation.evaluate import evaluate
        from director_diffusion.evaluation.facts import facts_of
        from director_diffusion.evaluation.material import Material
        from director_diffusion.evaluation.pairs import pairs_grid
        from director_diffusion.evaluation.plots import confusion_plot, effects_plot, history_plot
        from director_diffusion.evaluation.published_before import before_of
        from director_diffusion.evaluation.references import FILE as REFERENCE_FILE
        from director_diffusion.evaluation.references import rivals_of
        from director_diffusion.evaluation.types import Evaluation
        from director_diffusion.sampling.canary import FILE as CANARY_FILE
        from director_diffusion.sampling.canary import Canary
        from director_diffusion.stills.still_set import StillSet

        still_set, singing = StillSet.of(stills), Canary.read(canary.read(CANARY_FILE))
        encoders = encoders_of(run, project, plan)
        others = {slug: one.json(REFERENCE_FILE) for slug, one in references.items()}
        rivals = rivals_of(run.director, others, plan, encoders)
        material = Material(
            samples=tuple(samples.table(FILE, Sample)),
            learned=decode_learned(samples.read(LEARNED_FILE)),
            drawing=samples.json(DRAWING_FILE)["drawing"],
            still_set=still_set,
            rivals=rivals,
            before=before_of(further["published_before"]) if "published_before" in further else None,
            drift=singing.words if singing.drifted else "",
        )
        person = director_of(director)
        asked = plan.asked_of(person)
        result = evaluate(
            material,
            asked,
            tier,
            person,
            encoders,
            store=run.store,
            out=run.out,
            progress=run.progress,
        )
        facts, tables = facts_of(result), {}
        if "beside" in further:
            theirs = Evaluation.read(further["beside"].local_folder)
            compared = set_beside(result, theirs, asked, of=f"{of}adapter", other="adapter")
            compared.write(run.out)
            facts |= facts_of_beside(compared)
            tables["beside the recipe's adapter"] = table_of_beside(compared)
        return run.result(
            facts={**facts, **_not_told_from(run.director, partitions, rivals)},
            pictures={
                **tables,
                "effects": effects_plot(result),
                "effects over time": history_plot([*run.earlier(), (datetime.now(UTC), facts_of(result))]),
                "whose stills are nearest": confusion_plot(run.director, result.confusion),
                "nearest training stills": pairs_grid(result.pairs, still_set, run.store),
            },
            checks=judge(result),
        )

    return evaluation


def _not_told_from(slug: str, partitions: dg.PartitionsDefinition, rivals: Collection[str]) -> dict[str, str]:
    """Directors whose stills were not there, as when several are made for the first time: the next one has them."""
    absent = sorted(set(partitions.get_partition_keys()) - set(rivals) - {slug})
    return {"not told from, for lack of their reference sets": ", ".join(absent)} if absent else {}
