"""Look: how far colours, light and framing of pictures are from a set's.

Belongs here: distances between the statistics that `encoders.look` counts.  Each is named for what it measures; none
of them is style.
"""

import numpy as np
from numpy.typing import NDArray

from director_diffusion.evaluation.encoders.look import (
    BIN_WIDTHS,
    BINS,
    COLOUR,
    DIRECTIONS,
    FRAMING,
    LUMA_CONTRAST,
    LUMA_MEAN,
)

Looks = NDArray[np.float32] | NDArray[np.float64]  # (n, encoders.look.DIMENSIONS)


def colour_distance(looks: Looks, references: Looks) -> NDArray[np.float64]:
    """Sliced Wasserstein-1 distance (Rabin et al. 2012) of each picture's CIELAB histogram to the references' mean one,
    in units of ΔE.

    W1 along a direction is Σ |F − G| × bin width of the two cumulative histograms F and G; the mean over 13 fixed
    directions is taken.  Unlike a distance bin by bin (Hellinger, χ²) it grows with how far colours have moved, however
    narrow the bins; unlike one on the margins L, a and b alone it sees which colours go with which light.  The
    references' colours are pooled, so a picture of one scene is some way off even if it is one of them: only
    differences between arms mean something.  Returns (n,).
    """
    f = np.cumsum(_colours(looks), axis=2)
    g = np.cumsum(_colours(references).mean(axis=0), axis=1)
    distances: NDArray[np.float64] = (np.abs(f - g).sum(axis=2) * BIN_WIDTHS).mean(axis=1)
    return distances


def luma_distance(looks: Looks, references: Looks) -> NDArray[np.float64]:
    """|mean luma − the references' mean of it|, in [0, 1], of each picture.  Returns (n,)."""
    return _distance_of(looks, references, LUMA_MEAN)


def contrast_distance(looks: Looks, references: Looks) -> NDArray[np.float64]:
    """|contrast − the references' mean contrast|, of each picture; contrast is the standard deviation of luma (RMS
    contrast, Peli 1990), in [0, 0.5].  Returns (n,).
    """
    return _distance_of(looks, references, LUMA_CONTRAST)


def framing_distance(looks: Looks, references: Looks) -> NDArray[np.float64]:
    """Total variation distance, in [0, 1], of where in a 3 × 3 grid each picture's edges stand to where the references'
    stand on average: ½ Σ |p − q| over the cells' shares.  Returns (n,).
    """
    p, q = looks[:, FRAMING].astype(np.float64), references[:, FRAMING].astype(np.float64).mean(axis=0)
    distances: NDArray[np.float64] = np.abs(p - q).sum(axis=1) / 2
    return distances


def _colours(looks: Looks) -> NDArray[np.float64]:
    return looks[:, COLOUR].astype(np.float64).reshape(len(looks), len(DIRECTIONS), BINS)


def _distance_of(looks: Looks, references: Looks, place: int) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = np.abs(looks[:, place].astype(np.float64) - references[:, place].mean(dtype=float))
    return distances
