"""Look: colour, light and framing of a picture as plain statistics, without any model.

Belongs here: what is counted in a picture, and where in its vector it stands.  Distances between looks are
`metrics.look`'s matter.  Imports no torch.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from director_diffusion.evaluation.encoders.base import Vectors

SIDE = 64
"""Pictures are looked at on side × side pixels, their aspect kept: stills and samples differ in size, and a finer one
would seem to have more edges and more colours."""

BINS = 48  # of a histogram
CELLS = 3  # of the framing's grid, down and across

DIRECTIONS = np.array(
    [d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0)], dtype=np.float64
)  # (13, 3): of each opposite pair one
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
LAB_LOW, LAB_HIGH = np.array([0.0, -110.0, -110.0]), np.array([100.0, 110.0, 110.0])  # sRGB's gamut, and a margin
LOW = np.minimum(DIRECTIONS * LAB_LOW, DIRECTIONS * LAB_HIGH).sum(axis=1)  # (13,)
BIN_WIDTHS = (np.maximum(DIRECTIONS * LAB_LOW, DIRECTIONS * LAB_HIGH).sum(axis=1) - LOW) / BINS  # (13,), in ΔE

COLOUR = slice(0, len(DIRECTIONS) * BINS)
LUMA_MEAN, LUMA_CONTRAST = COLOUR.stop, COLOUR.stop + 1
FRAMING = slice(COLOUR.stop + 2, COLOUR.stop + 2 + CELLS**2)
DIMENSIONS = FRAMING.stop

_LUMA = np.array([0.2126, 0.7152, 0.0722])  # Rec. 709, on gamma-encoded values
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(axis=1)  # D65
_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)


class LookEncoder:
    """Vectors that are not of length 1; their parts are:

    `COLOUR`: histograms of CIELAB (D65) along 13 directions, each summing to 1;
    `LUMA_MEAN`, `LUMA_CONTRAST`: mean and standard deviation of Rec. 709 luma, in [0, 1];
    `FRAMING`: the share of all edges that stands in each cell of a 3 × 3 grid, row by row, summing to 1.
    """

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """Vectors (n, DIMENSIONS) of RGB images."""
        return np.stack([_look(image) for image in images])


def _look(image: Image.Image) -> NDArray[np.float32]:
    aspect = image.width / image.height
    size = (max(CELLS, round(SIDE * aspect**0.5)), max(CELLS, round(SIDE / aspect**0.5)))
    levels = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    luma = levels @ _LUMA / 255
    parts = [_colours(levels).ravel(), np.array([luma.mean(), luma.std()]), _framing(luma).ravel()]
    return np.concatenate(parts).astype(np.float32)


def _colours(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Histograms (13, BINS) of pixels (height, width, 3) along each direction."""
    places = (lab(levels).reshape(-1, 3) @ DIRECTIONS.T - LOW) / BIN_WIDTHS
    bins = places.astype(np.int64).clip(0, BINS - 1) + BINS * np.arange(len(DIRECTIONS))
    return np.bincount(bins.ravel(), minlength=len(DIRECTIONS) * BINS).reshape(-1, BINS) / len(places)


def _framing(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares (3, 3) of the sum of gradients' lengths; of a picture without any, all alike."""
    down, across = np.gradient(luma)
    edges = np.hypot(down, across)
    rows = [np.add.reduceat(strip.sum(axis=0), _starts(luma.shape[1])) for strip in np.array_split(edges, CELLS)]
    cells = np.stack(rows)
    total = cells.sum()
    return cells / total if total > 0 else np.full((CELLS, CELLS), 1 / CELLS**2)


def _starts(length: int) -> list[int]:
    return [int(part[0]) for part in np.array_split(np.arange(length), CELLS)]


def lab(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB (CIE 15:2004, D65) of sRGB levels (…, 3)."""
    xyz = _LINEAR[levels] @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)
