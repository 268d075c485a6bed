"""Samples: pictures to judge an adapter by.

Belongs here: the sampling stage of a recipe.  Arms, noise and the image cache live in `director_diffusion.sampling`.
"""

import dagster as dg

from assets_defs.common import GPU, director_of, drawing_spec, models_of, of_recipe
from director_diffusion.hashing import hash_file
from director_diffusion.sampling.rows import DRAWING_VERSION
from director_diffusion.specs import Base, EvaluationPlan, Recipe
from director_diffusion.storage import Artifact
from director_diffusion.training.rows import WEIGHTS
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def samples_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    drawn_with = base.drawn_with

    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        group=recipe.slug,
        version="1",
        spec={
            "drawing": DRAWING_VERSION,
            "base": drawing_spec(drawn_with),
            "prompts": plan.prompts,
            "seeds": plan.seeds,
            "sampling": plan.sampling,
        },
        fingerprints=lambda resources: {"base": resources.models.fingerprint(drawn_with.source)},
        reads={"adapter": of_recipe(recipe, "adapter")},
        after=models_of(drawn_with.source),
        pool=GPU,
        kinds={"pytorch", "diffusers"},
        fresh=True,
    )
    def samples(run: StageRun, adapter: Artifact, director: Artifact) -> StageResult:
        """Images of three arms from the same noise: base, base "in the style of", and adapter."""
        from director_diffusion.sampling.draw import draw_samples
        from director_diffusion.sampling.grids import comparison_grid

        models, weights = run.resources.models, adapter.path(WEIGHTS)
        rows = draw_samples(
            plan,
            drawn_with,
            director_of(director),
            models.base_folder(drawn_with),
            weights,
            adapter_version=hash_file(weights),
            base_fingerprint=models.fingerprint(drawn_with.source),
            store=run.store,
            fresh=run.fresh,
            device=run.resources.machine.device,
            out=run.out,
            progress=run.progress,
        )
        return run.result(
            facts={"images": len(rows), "prompts": len(plan.prompts), "seeds": len(plan.seeds)},
            pictures={"comparison": comparison_grid(rows, run.store)},
            references=sorted({row.reference for row in rows}),
        )

    return samples
