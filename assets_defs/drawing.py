"""Drawing: what stages share that draw the arms of a plan.

Belongs here: from adapters' artifacts to the library's one call, and what is told of the pictures.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from director_diffusion.hashing import hash_file
from director_diffusion.sampling.rows import Arm, pace_label
from director_diffusion.specs import Base, Director, EvaluationPlan
from director_diffusion.stills.learned import Learned, write_learned
from director_diffusion.storage import Artifact
from director_diffusion.training.rows import SHARED_BY
from resources.secrets import hide_in_logs
from resources.stage_run import StageResult, StageRun

if TYPE_CHECKING:
    from director_diffusion.sampling.wearing import ArmAdapter


def arm_adapter(artifact: Artifact, file: str, *, on: "ArmAdapter | None" = None) -> "ArmAdapter":
    """A file of an artifact, on top of another where there is one."""
    from director_diffusion.sampling.wearing import ArmAdapter

    path = artifact.path(file)
    return ArmAdapter(path, hash_file(path), on)


def draw_arms(
    run: StageRun,
    base: Base,
    plan: EvaluationPlan,
    director: Director,
    adapters: "Mapping[Arm, ArmAdapter]",
    *,
    learned: Mapping[str, Learned],
    seeds: Sequence[int],
) -> StageResult:
    """Draw what is missing of the plan's pictures, and tell how fast; `base` is what draws them."""
    from director_diffusion.sampling.draw import draw_samples
    from director_diffusion.sampling.grids import comparison_grid

    models = run.resources.models
    rows, paces, processes = draw_samples(
        plan,
        base,
        director,
        models.base_folder(base),
        adapters,
        seeds=seeds,
        base_fingerprint=models.fingerprint(base.source),
        store=run.store,
        fresh=run.fresh,
        device=run.place.device,
        processes=run.place.processes,
        devices=run.place.devices,
        at_start=hide_in_logs,
        out=run.out,
        progress=run.progress,
    )
    write_learned(run.out, learned)
    return run.result(
        facts={
            "images": len(rows),
            "prompts": len(plan.prompts),
            "seeds": len(seeds),
            **({SHARED_BY: processes} if processes > 1 else {}),
            **{pace_label(arm): round(pace, 3) for arm, pace in paces.items()},
        },
        pictures={"comparison": comparison_grid(rows, run.store)},
        references=sorted({row.reference for row in rows}),
    )
