"""Checks of the latents: that they can be trained on.  Imports no torch."""

import math
import statistics
from collections.abc import Sequence

from director_diffusion.checks import Check
from director_diffusion.latents.rows import LatentRow
from director_diffusion.specs import Base
from director_diffusion.storage.artifact import CheckOutcome

FINITE = Check("latents_finite", "Every posterior and its decoding are finite numbers.", blocking=True)
RECONSTRUCTION = Check(
    "reconstruction_psnr", "The VAE gives the stills back well enough: median PSNR over all kept stills.", blocking=True
)
CHECKS: tuple[Check, ...] = (FINITE, RECONSTRUCTION)

_NAMED = 10  # stills named in a check's metadata at most


def judge(rows: Sequence[LatentRow], base: Base) -> list[CheckOutcome]:
    """The checks' answers, in the order of CHECKS."""
    broken = [row.still for row in rows if not math.isfinite(row.psnr)]
    finite = FINITE.outcome(
        not broken,
        f"{len(broken)} of {len(rows)} posteriors or their decodings hold NaN or infinity."
        if broken
        else f"All {len(rows)} are finite.",
        broken=broken[:_NAMED],
    )
    return [finite, _judge_reconstruction(rows, base.min_reconstruction_psnr)]


def _judge_reconstruction(rows: Sequence[LatentRow], required: float) -> CheckOutcome:
    usable = sorted((row.psnr, row.still) for row in rows if math.isfinite(row.psnr))
    if not usable:
        return RECONSTRUCTION.outcome(False, "There is no reconstruction to measure.", required=required)
    median, (worst, still) = statistics.median(value for value, _ in usable), usable[0]
    return RECONSTRUCTION.outcome(
        median >= required,
        f"Median {median:.1f} dB, at least {required:g} asked; worst {worst:.1f} dB ({still}).",
        median=round(median, 3),
        required=required,
        worst=round(worst, 3),
        worst_still=still,
    )
