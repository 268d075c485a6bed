"""Latents: what the VAE makes of every still, once.

Belongs here: the latents stage of a base and its checks.  Buckets and encoding live in `director_diffusion.latents`.
"""

import dagster as dg

from assets_defs.common import models_of
from director_diffusion.latents.checks import CHECKS
from director_diffusion.latents.rows import ENCODING_VERSION
from director_diffusion.specs import Base
from director_diffusion.storage import Artifact, ItemCache
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def latents_asset(partitions: dg.PartitionsDefinition, base: Base) -> dg.AssetsDefinition:
    @stage(
        partitions=partitions,
        prefix=base.slug,
        group=base.slug,
        version="1",
        spec={
            "encoding": ENCODING_VERSION,
            **base.model_dump(mode="json", include={"source", "resolution", "family", "min_reconstruction_psnr"}),
        },
        fingerprints=lambda resources: {"base": resources.models.fingerprint(base.source)},
        checks=CHECKS,
        after=models_of(base.source),
        needs=one_gpu(),
        kinds={"pytorch", "safetensors"},
    )
    def latents(run: StageRun, stills: Artifact) -> StageResult:
        """The VAE's posterior (mean and standard deviation) of every still, in the film-shaped bucket chosen for it."""
        from director_diffusion.latents.checks import judge
        from director_diffusion.latents.encode import encode_latents, latent_fingerprint
        from director_diffusion.latents.previews import bucket_table, reconstructions
        from director_diffusion.stills.still_set import StillSet

        models = run.resources.models
        still_set = StillSet.of(stills)
        folder = models.base_folder(base)
        rows = encode_latents(
            still_set,
            base,
            folder,
            cache=ItemCache(
                run.store, "latents", latent_fingerprint(base, models.fingerprint(base.source)), ".safetensors"
            ),
            device=run.place.device,
            out=run.out,
            progress=run.progress,
        )
        return run.result(
            facts={"latents": len(rows), "buckets": len({(row.width, row.height) for row in rows})},
            pictures={
                "buckets": bucket_table(rows),
                "reconstructions": reconstructions(rows, still_set, run.store),
            },
            checks=judge(rows, base),
            references=[row.reference for row in rows],
        )

    return latents
