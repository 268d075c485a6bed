"""Bradley-Terry: one strength for each side, of comparisons in pairs, with ties and a bias to the left or right.

Belongs here: the model and its fit.  Of pictures i shown as A and j shown as B, with d = s_i − s_j + b,

    P(A) : P(B) : P(tie)  =  exp(d / 2) : exp(−d / 2) : exp(t)

which is Davidson's model of ties (1970), ν = exp(t), with the order effect of Davidson and Beaver (1977), γ = exp(−b).
Strengths are in logits: a side that is stronger by 1 wins e = 2.7 times as often as it loses, where sides are random.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from director_diffusion.voting.statistics.resampling import Bounds, Floats, group_weights, percentile_bounds

RIDGE = 0.01
"""Of all parameters: minus the log-likelihood takes ½ · 0.01 · θ² for each, a normal prior of standard deviation 10.
It keeps estimates finite where one side has won every vote or nobody said tie, and hardly moves any other."""
_STEPS, _HALVINGS, _CLOSE = 100, 30, 1e-9
_RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A value and its interval over voters; None for fewer than five."""

    value: float
    by_voter: Bounds | None


@dataclass(frozen=True)
class Strengths:
    """The fit.  Strengths sum to 0 within sides that are linked by comparisons; others cannot be compared."""

    strengths: tuple[Estimate, ...]  # by side
    side_bias: Estimate  # b: above 0, the picture shown as A is favoured
    ties: Estimate  # t
    linked: bool  # all sides are linked by comparisons


def bradley_terry(
    compared: Sequence[tuple[int, int]], counts: NDArray[np.int64], sides: int, confidence: float
) -> Strengths:
    """Fit by maximum likelihood, less the ridge, with intervals over voters.

    `compared` are the sides shown as A and as B, (cells, 2); `counts` the votes of each voter in each cell for A, for B
    and for neither of both, (voters, cells, 3).
    """
    design = _design(compared, sides)
    voters = counts.shape[0]
    theta = fit(design, counts.sum(axis=0).astype(np.float64))
    drawn = np.full((_RESAMPLES, sides + 2), np.nan)
    if voters:
        resampled = np.tensordot(group_weights(voters, _RESAMPLES), counts.astype(np.float64), axes=1)
        drawn = fit(design, resampled)
    found = [
        Estimate(float(theta[place]), percentile_bounds(drawn[:, place], voters, confidence))
        for place in range(sides + 2)
    ]
    return Strengths(tuple(found[:sides]), found[sides], found[sides + 1], _linked(compared, counts, sides))


def fit(design: Floats, counts: Floats, ridge: float = RIDGE) -> Floats:
    """θ = (strengths, b, t) of votes (…, cells, 3) for A, for B and tied, for each of the leading dimensions apart.

    Newton's method with halved steps: minus the log-likelihood is convex and the ridge makes it strictly so, hence the
    one minimum is found.  `design` (cells, sides + 2) makes d of θ.
    """
    lead = counts.shape[:-2]
    counts = counts.reshape(math.prod(lead), *counts.shape[-2:])
    theta = np.zeros((counts.shape[0], design.shape[1]))
    value, gradient, hessian = _posterior(design, counts, theta, ridge)
    for _ in range(_STEPS):
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        scale = np.ones(len(theta))
        for _ in range(_HALVINGS):
            worse = _posterior(design, counts, theta - scale[:, None] * step, ridge)[0] > value + _CLOSE
            if not worse.any():
                break
            scale[worse] /= 2
        theta = theta - scale[:, None] * step
        value, gradient, hessian = _posterior(design, counts, theta, ridge)
        if np.abs(gradient).max(initial=0.0) < _CLOSE * max(1.0, float(counts.sum(axis=(1, 2)).max(initial=0.0))):
            break
    return theta.reshape(*lead, design.shape[1])


def _posterior(design: Floats, counts: Floats, theta: Floats, ridge: float) -> tuple[Floats, Floats, Floats]:
    """Minus the log-likelihood with its ridge (n,), its gradient (n, p) and its Hessian (n, p, p)."""
    half, tie = 0.5 * theta @ design.T, theta[:, -1:]
    logits = np.stack([half, -half, np.broadcast_to(tie, half.shape)], axis=-1)  # (n, cells, 3)
    top = logits.max(axis=-1, keepdims=True)
    total = top[..., 0] + np.log(np.exp(logits - top).sum(axis=-1))
    votes = counts.sum(axis=-1)
    value = (votes * total - (counts * logits).sum(axis=-1)).sum(axis=-1) + 0.5 * ridge * (theta**2).sum(axis=-1)
    p = np.exp(logits - total[..., None])
    for_a, for_b, tied = np.moveaxis(p, -1, 0)
    along_d = votes * (for_a - for_b) / 2 - (counts[..., 0] - counts[..., 1]) / 2
    along_t = (votes * tied - counts[..., 2]).sum(axis=-1)
    gradient = along_d @ design + ridge * theta
    gradient[:, -1] += along_t
    lean = (for_a - for_b) / 2
    d_d, d_t, t_t = votes * ((for_a + for_b) / 4 - lean**2), -votes * lean * tied, votes * tied * (1 - tied)
    hessian = np.einsum("nc,cp,cq->npq", d_d, design, design) + ridge * np.eye(design.shape[1])
    cross = d_t @ design
    hessian[:, -1, :] += cross
    hessian[:, :, -1] += cross
    hessian[:, -1, -1] += t_t.sum(axis=-1)
    return value, gradient, hessian


def _design(compared: Sequence[tuple[int, int]], sides: int) -> Floats:
    design = np.zeros((len(compared), sides + 2))
    for row, (a, b) in enumerate(compared):
        design[row, a] += 1
        design[row, b] -= 1
        design[row, sides] = 1
    return design


def _linked(compared: Sequence[tuple[int, int]], counts: NDArray[np.int64], sides: int) -> bool:
    group = list(range(sides))
    for (a, b), votes in zip(compared, counts.sum(axis=(0, 2)), strict=True):
        if votes:
            old, new = group[a], group[b]
            group = [new if one == old else one for one in group]
    return len(set(group)) <= 1
