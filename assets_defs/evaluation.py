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
from director_diffusion.specs import Base, EvaluationPlan, Project, Recipe, Tier
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
        from director_diffusion.evaluation.gathering import gather_material
        from director_diffusion.evaluation.shown import pictures_of
        from director_diffusion.evaluation.types import Evaluation

        person, encoders = director_of(director), encoders_of(run, project, plan)
        material = gather_material(
            run.director,
            plan,
            encoders,
            samples=samples,
            stills=stills,
            canary=canary,
            references=references,
            published_before=further.get("published_before"),
        )
        asked = plan.asked_of(person)
        result = evaluate(material, asked, tier, person, encoders, store=run.store, out=run.out, progress=run.progress)
        facts, tables = facts_of(result), {}
        history = [*run.earlier(), (datetime.now(UTC), facts)]
        if "beside" in further:
            theirs = Evaluation.read(further["beside"].local_folder)
            compared = set_beside(result, theirs, asked, of=f"{of}adapter", other="adapter")
            compared.write(run.out)
            facts = {**facts, **facts_of_beside(compared)}
            tables["beside the recipe's adapter"] = table_of_beside(compared)
        return run.result(
            facts={**facts, **_not_told_from(run.director, partitions, material.rivals)},
            pictures={**tables, **pictures_of(result, run.director, material.still_set, history, run.store)},
            checks=judge(result),
        )

    return evaluation


def _not_told_from(slug: str, partitions: dg.PartitionsDefinition, rivals: Collection[str]) -> dict[str, str]:
    """Directors whose stills were not there, as when several are made for the first time: the next one has them."""
    absent = sorted(set(partitions.get_partition_keys()) - set(rivals) - {slug})
    return {"not told from, for lack of their reference sets": ", ".join(absent)} if absent else {}
