"""Joint: one adapter of all directors, a trigger each, beside those of each.

Belongs here: its training stage, and the overview of how it does for all.  How it is judged for one director is
`samples`' and `evaluation`'s.
"""

import json
from collections.abc import Mapping, Sequence

import dagster as dg

from assets_defs.common import of_base, of_recipe
from assets_defs.training import JOINT_ADAPTER, joint_job, train, training_stage
from director_diffusion.checks import Check
from director_diffusion.errors import TrainingError
from director_diffusion.evaluation.types import EFFECTS_FILE, VERDICT_FILE, verdict_from
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import FILE as PROMPTS_FILE
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, EvaluationPlan, Recipe
from director_diffusion.storage import Artifact
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

JOINT = "joint_"  # begins the names of its assets
JOINT_OVERVIEW = "joint_overview"
TOLD_APART = Check(
    "told_apart", "Under each trigger, pictures are nearest to that director's held-out stills.", blocking=False
)


def joint_adapter_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    gathers = {
        "latents": of_base(base, "latents"),
        "prompt_embeddings": of_base(base, "prompt_embeddings"),
        "directors": dg.AssetKey(["director"]),
        **({"prior": of_recipe(recipe, "prior")} if recipe.prior is not None else {}),
    }

    @training_stage(None, base, recipe.of_all(), plan, JOINT_ADAPTER, gathers=gathers)
    def joint_adapter(
        run: StageRun,
        latents: dict[str, Artifact],
        prompt_embeddings: dict[str, Artifact],
        directors: dict[str, Artifact],
        **further: Artifact | dict[str, Artifact],
    ) -> StageResult:
        """Weights trained on all directors' stills, as many samples of each, under the trigger of each."""
        from director_diffusion.training.joint import Rows, join

        prior, init = further.get("prior"), further.get("init")
        of_each = {
            gathers[name]: found
            for name, found in (
                ("latents", latents),
                ("prompt_embeddings", prompt_embeddings),
                ("directors", directors),
                *((("prior", prior),) if isinstance(prior, dict) else ()),
            )
        }
        slugs = partitions.get_partition_keys()
        _check_complete(recipe, slugs, of_each)
        more = [prior] if isinstance(prior, dict) else []
        rows = {
            slug: Rows(
                [row for found in (latents, *more) for row in found[slug].table(LATENTS_FILE, LatentRow)],
                [row for found in (prompt_embeddings, *more) for row in found[slug].table(PROMPTS_FILE, PromptRow)],
            )
            for slug in slugs
        }
        job = joint_job(run, base, recipe.of_all(), plan, join(rows), init if isinstance(init, Artifact) else None)
        return train(run, job, {slug: directors[slug] for slug in slugs})

    return joint_adapter


def _check_complete(recipe: Recipe, slugs: Sequence[str], found: Mapping[dg.AssetKey, Mapping[str, Artifact]]) -> None:
    """Raise TrainingError, naming them, while a director's inputs are missing or may not be used.

    Dagster runs an asset of no partition whatever there is of those that it gathers.
    """
    missing = {
        slug: [key.to_user_string() for key, given in found.items() if slug not in given]
        for slug in slugs
        if any(slug not in given for given in found.values())
    }
    if missing:
        raise TrainingError(
            f"{recipe.slug}/{JOINT_ADAPTER}",
            "is of all directors of the project, and there is no usable "
            + "; no ".join(f"{' and no '.join(names)} of {slug}" for slug, names in missing.items()),
            f"Make them first (director run {' '.join(missing)} --recipe {recipe.slug}), or take the director out of "
            "the project's `directors`.",
        )


def joint_overview_asset(partitions: dg.PartitionsDefinition, recipe: Recipe) -> dg.AssetsDefinition:
    @stage(
        partitions=None,
        prefix=recipe.slug,
        name=JOINT_OVERVIEW,
        group=recipe.slug,
        version="1",
        spec={"directors": partitions.get_partition_keys()},
        reads={"adapter": of_recipe(recipe, JOINT_ADAPTER)},
        gathers={
            "samples": of_recipe(recipe, f"{JOINT}samples"),
            "evaluations": of_recipe(recipe, f"{JOINT}evaluation"),
        },
        checks=[TOLD_APART],
        kinds={"json"},
    )
    def joint_overview(
        run: StageRun, adapter: Artifact, samples: dict[str, Artifact], evaluations: dict[str, Artifact]
    ) -> StageResult:
        """How the adapter of all does for each director, beside that one's own, and whose stills each is nearest to."""
        from director_diffusion.evaluation.beside import FILE as BESIDE_FILE
        from director_diffusion.evaluation.beside import beside_from
        from director_diffusion.evaluation.overview import FILE, overview_of, table_of_overview
        from director_diffusion.evaluation.plots import confusion_plot

        absent = {
            slug: why
            for slug in partitions.get_partition_keys()
            if (why := _not_of(adapter, samples.get(slug), evaluations.get(slug)))
        }
        told = {
            slug: (
                one.json(EFFECTS_FILE),
                verdict_from(one.json(VERDICT_FILE)).outcome,
                beside_from(one.json(BESIDE_FILE)),
            )
            for slug, one in sorted(evaluations.items())
            if slug not in absent
        }
        found = overview_of(told, absent)
        (run.out / FILE).write_text(json.dumps(found.told(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        words = f"{found.own} of {len(told)} directors' pictures are nearest to their own held-out stills."
        lacking = f" Nothing is known of {', '.join(absent)}." if absent else ""
        matrix = {"whose stills are nearest": confusion_plot("", found.confusion)} if told else {}
        return run.result(
            facts={"directors": len(told), "nearest to their own stills": found.own},
            pictures={"directors": table_of_overview(found), **matrix},
            checks=[TOLD_APART.outcome(found.own == len(told) and not absent, words + lacking)],
        )

    return joint_overview


def _not_of(adapter: Artifact, samples: Artifact | None, evaluation: Artifact | None) -> str:
    """Why an evaluation says nothing of this very adapter; "" where it does."""
    if samples is None or evaluation is None:
        return "not evaluated yet"
    made_of = samples.manifest.inputs.get("/".join(adapter.manifest.asset))
    seen = evaluation.manifest.inputs.get("/".join(samples.manifest.asset))
    return "" if (made_of, seen) == (adapter.version, samples.version) else "evaluated with another adapter than now"
