"""Memorisation: samples that are nearer to a training still than training stills are to each other.

Belongs here: nearest neighbours and their threshold.  Pairs are for a local report: stills are never published.

What it does not see: a still that is drawn again mirrored, cropped or recoloured counts only as far as the encoder
looks past that, and a copied part of a picture hardly at all.  It needs an encoder of appearance, of DINOv2's class;
Somepalli et al. 2023 (arXiv 2212.03860) look for copies in this way.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.metrics.similarity import DECIMALS, Rows

QUANTILE = 0.99


@dataclass(frozen=True)
class Neighbours:
    """For each of n pictures the nearest of others: its index and cosine, both (n,)."""

    index: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def beyond(self, threshold: float) -> float:
        """Share of the pictures that are nearer than `threshold`."""
        return float((self.similarity > threshold).mean())

    def nearest_first(self) -> NDArray[np.int64]:
        """Pictures in the order of falling similarity, (n,): the pairs to look at first."""
        return np.argsort(-self.similarity, kind="stable")


def nearest(images: Rows, stills: Rows) -> Neighbours:
    """The still (m, d) nearest to each image (n, d)."""
    cosines = (images.astype(np.float64) @ stills.astype(np.float64).T).round(DECIMALS)
    index = cosines.argmax(axis=1)
    return Neighbours(index, cosines[np.arange(len(cosines)), index])


def nearest_others(stills: Rows) -> Neighbours:
    """For each still (n, d) the nearest of the others."""
    _enough(stills)
    cosines = (stills.astype(np.float64) @ stills.astype(np.float64).T).round(DECIMALS)
    np.fill_diagonal(cosines, -np.inf)
    index = cosines.argmax(axis=1)
    return Neighbours(index, cosines[np.arange(len(cosines)), index])


def memorisation_threshold(stills: Rows) -> float:
    """99th percentile of training stills' (n, d) cosines to the nearest other one, linear between order statistics.

    Below 100 stills it is nearly their largest, so two frames of one shot set it for all: then it is too lenient, which
    near-duplicates out of the training set (as `stills` leaves them) guard against; `nearest_others` names the pair.
    Held-out stills' own share beyond it says what share chance gives.  Raises EvaluationError for fewer than two.
    """
    return float(np.quantile(nearest_others(stills).similarity, QUANTILE))


def _enough(stills: Rows) -> None:
    if len(stills) < 2:
        raise EvaluationError(
            "memorisation",
            f"{len(stills)} training stills have no distance to each other to compare with",
            "Give the director two or more.",
        )
