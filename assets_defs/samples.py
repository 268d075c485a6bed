"""Samples: pictures to judge an adapter by.

Belongs here: the sampling stage of a recipe.  Arms, noise and the image cache live in `director_diffusion.sampling`.
"""

import dagster as dg

from assets_defs.common import GPU, director_of, how_drawn, learned_of, models_of, of_recipe, same_making
from director_diffusion.evaluation.types import VERDICT_FILE, verdict_from
from director_diffusion.hashing import hash_file
from director_diffusion.specs import Base, EvaluationPlan, Recipe, Tier
from director_diffusion.stills.learned import write_learned
from director_diffusion.storage import Artifact
from director_diffusion.training.rows import WEIGHTS
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def samples_name(tier: Tier) -> str:
    return "samples" if tier == "draft" else "release_samples"


def samples_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, plan: EvaluationPlan, tier: Tier
) -> dg.AssetsDefinition:
    drawn_with, all_seeds = base.drawn_with, plan.seeds_of(tier)

    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        name=samples_name(tier),
        group=recipe.slug,
        version="3",
        spec={**how_drawn(drawn_with, plan), "prompts": plan.prompts, "seeds": all_seeds},
        fingerprints=lambda resources: {"base": resources.models.fingerprint(drawn_with.source)},
        reads={"adapter": of_recipe(recipe, "adapter")},
        further=_draft_of(recipe) if tier == "release" else None,
        after=models_of(drawn_with.source),
        pool=GPU,
        kinds={"pytorch", "diffusers"},
        fresh=True,
    )
    def samples(run: StageRun, adapter: Artifact, director: Artifact, **draft: Artifact) -> StageResult:
        """Images of three arms from the same noise: base, base "in the style of", and adapter."""
        from director_diffusion.sampling.draw import draw_samples
        from director_diffusion.sampling.grids import comparison_grid

        models, weights = run.resources.models, adapter.path(WEIGHTS)
        person = director_of(director)
        asked = plan.asked_of(person)
        seeds = all_seeds
        if draft:
            again = f"{recipe.slug}/samples and {recipe.slug}/evaluation"
            same_making(draft["drawn"], of_recipe(recipe, "adapter"), adapter, again=again)
            same_making(draft["judged"], of_recipe(recipe, "samples"), draft["drawn"], again=again)
            if verdict_from(draft["judged"].json(VERDICT_FILE)).outcome == "fail":
                seeds = plan.seeds  # no more pictures of what is refuted already
        rows = draw_samples(
            asked,
            drawn_with,
            person,
            models.base_folder(drawn_with),
            weights,
            seeds=seeds,
            adapter_version=hash_file(weights),
            base_fingerprint=models.fingerprint(drawn_with.source),
            store=run.store,
            fresh=run.fresh,
            device=run.resources.machine.device,
            out=run.out,
            progress=run.progress,
        )
        write_learned(run.out, {"adapter": learned_of(adapter)})
        return run.result(
            facts={"images": len(rows), "prompts": len(asked.prompts), "seeds": len(seeds)},
            pictures={"comparison": comparison_grid(rows, run.store)},
            references=sorted({row.reference for row in rows}),
        )

    return samples


def _draft_of(recipe: Recipe) -> dict[str, dg.AssetKey]:
    """The draft that a release goes on from."""
    return {"drawn": of_recipe(recipe, "samples"), "judged": of_recipe(recipe, "evaluation")}
