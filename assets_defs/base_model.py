"""Base model: a base trained from scratch by this project, with what goes with it.

Belongs here: the asset of a base whose file says `trained_here`.  Data, sizes, the loop and the order of the parts live
in `director_diffusion.pretraining`.
"""

import dagster as dg

from director_diffusion.specs import Base
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

SHOWN_GRIDS = 4  # of a part, spread over its training


def base_model_asset(base: Base) -> dg.AssetsDefinition:
    @stage(
        partitions=None,
        prefix=base.slug,
        group=base.slug,
        version="1",
        spec=base.model_dump(mode="json", include={"name", "model_id", "licence", "trained_here", "resolution"}),
        fingerprints=lambda resources: {str(name): key for name, key in resources.models.part_keys(base).items()},
        needs=one_gpu(),
        kinds={"pytorch", "safetensors"},
    )
    def base_model(run: StageRun) -> StageResult:
        """VAE, denoiser with text encoders, captioner, embedder and style encoder, as far as the spec names them."""
        from director_diffusion.pretraining.build import build_base

        shop = run.resources.models.workshop(
            device=run.place.device,
            holder=f"run {run.context.run.run_id}",
            progress=run.progress,
        )
        parts = build_base(base, shop, run.out)
        facts = {f"{name}: {fact}": value for name, part in parts.items() for fact, value in part.record.facts.items()}
        grids = {
            f"{name}, step {step}": image for name, part in parts.items() for step, image in part.grids(SHOWN_GRIDS)
        }
        return run.result(facts=facts, pictures=grids)

    return base_model
