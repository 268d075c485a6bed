"""Canary: whether the machine still draws as it did.

Belongs here: the asset of a base that evaluations read, so that a drift of code or drivers is not taken for a worse
adapter.  The fixed adapter and its pictures are `director_diffusion.sampling`'s.
"""

import dagster as dg

from assets_defs.common import how_drawn, models_of
from director_diffusion.checks import Check
from director_diffusion.packages import DRAWING, package_versions
from director_diffusion.sampling.prompts import sung
from director_diffusion.specs import Base, EvaluationPlan
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

CANARY = "canary"
NO_DRIFT = Check(
    "no_drift", "A fixed adapter's pictures come out as when they were first drawn, but for last bits.", blocking=False
)

FIRST = "Drawn for later ones to be compared with; a re-evaluation draws them anew."


def canary_asset(base: Base, plan: EvaluationPlan) -> dg.AssetsDefinition:
    drawn_with = base.drawn_with

    @stage(
        partitions=None,
        prefix=base.slug,
        group=base.slug,
        version="2",
        spec={**how_drawn(drawn_with, plan), "pictures": sung(plan)},
        fingerprints=lambda resources: {
            "base": resources.models.fingerprint(drawn_with.source),
            "packages": str(package_versions(DRAWING)),  # it sings when they change, and not every week alone
            "device": resources.machine.kind,
        },
        checks=[NO_DRIFT],
        after=models_of(drawn_with.source),
        needs=one_gpu(),
        kinds={"pytorch", "diffusers"},
        fresh=True,
    )
    def canary(run: StageRun) -> StageResult:
        """Pictures of an adapter that never changes: if they change, code or drivers did, and not anybody's adapter."""
        from director_diffusion.sampling.canary import sing
        from director_diffusion.sampling.grids import row_of

        models = run.resources.models
        found, pictures = sing(
            plan,
            drawn_with,
            lambda: models.base_folder(drawn_with),
            base_fingerprint=models.fingerprint(drawn_with.source),
            store=run.store,
            fresh=run.fresh,
            device=run.place.device,
            out=run.out,
            progress=run.progress,
        )
        psnr = {"worst PSNR": found.worst_psnr} if found.worst_psnr is not None else {}
        return run.result(
            facts={"pictures": found.pictures, "changed": found.changed, **psnr},
            pictures={"drawn": row_of(pictures)},
            checks=[NO_DRIFT.outcome(not found.drifted, found.words if run.fresh or found.changed else FIRST)],
        )

    return canary
