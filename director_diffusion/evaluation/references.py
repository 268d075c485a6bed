"""References: what other directors' adapters are told from, one small file for each director.

Belongs here: the mean of a director's held-out stills by the plan's encoder of style, and its file.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.encoders.opened import Encoders
from director_diffusion.progress import Progress
from director_diffusion.specs import EvaluationPlan
from director_diffusion.stills.still_set import StillSet

FILE = "reference.json"
DECIMALS = 7  # of a mean of float32 vectors of length 1


def write_reference(
    still_set: StillSet, plan: EvaluationPlan, encoders: Encoders, out: Path, progress: Progress
) -> int:
    """Write the mean vector of the held-out stills into `out`; returns how many there are.

    Closeness to a set of stills is the cosine's mean, hence linear: the mean vector is all that it takes.
    """
    held_out = still_set.held_out
    if not held_out:
        raise EvaluationError(
            "reference set",
            "there are no held-out stills",
            "Raise stills.held_out_share in the director's file, or add stills of another film.",
        )
    cache = getattr(encoders, plan.style_by)
    vectors = cache.images(
        {still.still: partial(still_set.open, still) for still in held_out},
        title="Embedding held-out stills",
        progress=progress,
    )
    mean = np.stack([vectors[still.still] for still in held_out]).astype(np.float64).mean(axis=0)
    data = {"stills": len(held_out), "seen_by": cache.name, "mean": mean.round(DECIMALS).tolist()}
    (out / FILE).write_text(json.dumps(data) + "\n", encoding="utf-8")
    return len(held_out)


def rivals_of(
    director: str, references: Mapping[str, Mapping[str, Any]], plan: EvaluationPlan, encoders: Encoders
) -> dict[str, NDArray[np.float64]]:
    """Mean vectors of the other directors, of the parsed files by director's slug; not of those seen by another encoder
    than the plan's of now, whose vectors mean something else.
    """
    seen_by = getattr(encoders, plan.style_by).name
    return {
        slug: np.array(data["mean"])
        for slug, data in references.items()
        if slug != director and data["seen_by"] == seen_by
    }
