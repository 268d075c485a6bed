"""Samples: pictures to judge an adapter by.

Belongs here: the sampling stage of a recipe.  Arms, noise and the image cache live in `director_diffusion.sampling`.
"""

import json

import dagster as dg

from assets_defs.common import director_of, how_drawn, models_of, of_recipe, same_making
from assets_defs.drawing import arm_adapter, draw_arms
from assets_defs.fold_adapters import fold_inputs, folds_of, same_folds
from director_diffusion.evaluation.types import VERDICT_FILE, verdict_from
from director_diffusion.hashing import hash_data, short
from director_diffusion.sampling.rows import DRAWING_FILE, Arm
from director_diffusion.specs import Base, EvaluationPlan, Recipe, Tier
from director_diffusion.stills.learned import learned_of
from director_diffusion.storage import Artifact
from director_diffusion.training.rows import WEIGHTS
from resources.needs import Shares, one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def samples_name(tier: Tier, of: str = "") -> str:
    return f"{of}samples" if tier == "draft" else "release_samples"


def samples_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, plan: EvaluationPlan, tier: Tier, of: str = ""
) -> dg.AssetsDefinition:
    """Of the recipe's adapter, or of another of the director's whose asset's name begins with `of`."""
    drawn_with, all_seeds = base.drawn_with, plan.seeds_of(tier)

    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        name=samples_name(tier, of),
        group=recipe.slug,
        version="4",
        spec={**how_drawn(drawn_with, plan), "prompts": plan.prompts, "seeds": all_seeds},
        fingerprints=lambda resources: {"base": resources.models.fingerprint(drawn_with.source)},
        reads={"adapter": of_recipe(recipe, f"{of}adapter")},
        further=fold_inputs(recipe, plan) | (_draft_of(recipe) if tier == "release" else {}),
        after=models_of(drawn_with.source),
        needs=one_gpu(Shares("drawing")),
        kinds={"pytorch", "diffusers"},
        fresh=True,
    )
    def samples(run: StageRun, adapter: Artifact, director: Artifact, **further: Artifact) -> StageResult:
        """Images of all arms from the same noise: base, base "in the style of", adapter, and the folds' where asked."""
        from director_diffusion.sampling.wearing import drawn_by

        models = run.resources.models
        same_folds(recipe, adapter, further)
        adapters: dict[Arm, Artifact] = {"adapter": adapter, **folds_of(further)}
        person = director_of(director)
        asked = plan.asked_of(person)
        seeds = all_seeds
        if tier == "release":
            again = f"{recipe.slug}/samples and {recipe.slug}/evaluation"
            same_making(further["drawn"], of_recipe(recipe, "adapter"), adapter, again=again)
            same_making(further["judged"], of_recipe(recipe, "samples"), further["drawn"], again=again)
            if verdict_from(further["judged"].json(VERDICT_FILE)).outcome == "fail":
                seeds = plan.seeds  # no more pictures of what is refuted already
        content = models.fingerprint(drawn_with.source)
        drawing = {**how_drawn(drawn_with, plan), "content": content, "by": drawn_by(run.place.device)}
        (run.out / DRAWING_FILE).write_text(json.dumps({"drawing": short(hash_data(drawing))}) + "\n", encoding="utf-8")
        return draw_arms(
            run,
            drawn_with,
            asked,
            person,
            {arm: arm_adapter(one, WEIGHTS) for arm, one in adapters.items()},
            learned={arm: learned_of(one, run.director) for arm, one in adapters.items()},
            seeds=seeds,
        )

    return samples


def _draft_of(recipe: Recipe) -> dict[str, dg.AssetKey]:
    """The draft that a release goes on from."""
    return {"drawn": of_recipe(recipe, "samples"), "judged": of_recipe(recipe, "evaluation")}
