"""Distribution: whether two sets of pictures could be drawn from one.

Belongs here: distances between sets.
"""

import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.metrics.similarity import Rows

SIGMA, SCALE = 10.0, 1000.0  # Jayasumana et al. 2024, section 4

WHY_NOT_FID = (
    "FID is not told: its estimate is biased by an amount that depends on the number of pictures and on the model "
    "(Chong and Forsyth 2020), it asks for thousands of them, and a covariance of 2048 dimensions cannot be estimated "
    "from tens. CMMD's estimate is unbiased at any number."
)


def cmmd(x: Rows, y: Rows) -> float:
    """CMMD (Jayasumana et al. 2024, arXiv 2401.09603), unbiased, of the CLIP vectors x (n, d) and y (m, d): × 1000,

    MMD² = Σ_{i≠j} k(xᵢ, xⱼ) / n(n−1) + Σ_{i≠j} k(yᵢ, yⱼ) / m(m−1) − 2 Σ_{ij} k(xᵢ, yⱼ) / nm,

    k(a, b) = exp(−‖a − b‖² / 2σ²), σ = 10 (the U-statistic of Gretton et al. 2012, eq. 3).  About 0, and below it half
    of the time, for sets of one distribution.  Raises EvaluationError where a set has fewer than two rows.
    """
    if min(len(x), len(y)) < 2:
        raise EvaluationError(
            "CMMD",
            f"sets of {len(x)} and {len(y)} pictures are too small: each must have 2 or more",
            "Hold out more stills, or draw more samples.",
        )
    a, b = x.astype(np.float64), y.astype(np.float64)
    return float(SCALE * (_among(a) + _among(b) - 2 * _kernel(a, b).mean()))


def _among(x: NDArray[np.float64]) -> float:
    n = len(x)
    return float((_kernel(x, x).sum() - n) / (n * (n - 1)))  # k of a row with itself is 1


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = np.einsum("nd,nd->n", x, x)[:, None] + np.einsum("nd,nd->n", y, y)[None] - 2 * x @ y.T
    kernel: NDArray[np.float64] = np.exp(-squares.clip(min=0) / (2 * SIGMA**2))
    return kernel
