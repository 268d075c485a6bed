"""Rate: the share of votes for something, with what may be said of its precision.

Belongs here: counts arranged by voter and prompt.  What counts as for and against is the caller's.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from director_diffusion.voting.statistics.resampling import MIN_GROUPS, Bounds, Floats, group_weights, percentile_bounds


@dataclass(frozen=True)
class Rate:
    """A share of `n` votes and its two-sided intervals.

    `wilson` takes votes as independent; `by_voter` draws voters again, `by_prompt` prompts (None for fewer than five).
    `low` and `high` are for other voters and other prompts: what voters and prompts add to independent votes' scatter
    is added up, as in the variance of two-way clustering (Cameron, Gelbach and Miller 2011), and they are never inside
    one of the three.
    """

    share: float
    n: int
    voters: int
    prompts: int
    wilson: Bounds
    by_voter: Bounds | None
    by_prompt: Bounds | None
    low: float
    high: float


def wilson(count: float, n: int, confidence: float) -> Bounds:
    """Wilson's score interval (1927) of count / n.  (0, 1) where n is 0.

    `count` may have halves, of ties: their scatter is less than a coin's, so that the interval is rather too wide.
    """
    if n == 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share, scale = count / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends a bound is exact, and only rounding would set it beside them.
    return (0.0 if count == 0 else max(0.0, middle - half)), (1.0 if count == n else min(1.0, middle + half))


def rate_of(scores: Floats, votes: NDArray[np.int64], confidence: float) -> Rate | None:
    """The rate of scores among votes, both by voter and prompt (voters, prompts): a vote scores 0, ½ or 1.

    None where there is no vote.  Rows and columns without votes are no voters and no prompts.
    """
    rows, columns = votes.sum(axis=1) > 0, votes.sum(axis=0) > 0
    scores, votes = scores[rows][:, columns], votes[rows][:, columns]
    n = int(votes.sum())
    if n == 0:
        return None
    voters, prompts = votes.shape
    alone = wilson(float(scores.sum()), n, confidence)
    by_voter, by_prompt = (
        _resampled(scores.sum(axis=axis), votes.sum(axis=axis).astype(np.float64), confidence) for axis in (1, 0)
    )
    share = float(scores.sum()) / n
    return Rate(
        share=share,
        n=n,
        voters=voters,
        prompts=prompts,
        wilson=alone,
        by_voter=by_voter,
        by_prompt=by_prompt,
        low=max(0.0, share - _reach(share, alone, by_voter, by_prompt, 0)),
        high=min(1.0, share + _reach(share, alone, by_voter, by_prompt, 1)),
    )


def _reach(share: float, alone: Bounds, by_voter: Bounds | None, by_prompt: Bounds | None, end: int) -> float:
    """How far the bound at one end lies from the share."""
    coin, *grouped = (abs(one[end] - share) for one in (alone, by_voter, by_prompt) if one is not None)
    both = math.sqrt(max(0.0, sum(one**2 for one in grouped) - coin**2)) if len(grouped) == 2 else 0.0
    return max(coin, both, *grouped)


def _resampled(scores: Floats, votes: Floats, confidence: float) -> Bounds | None:
    """Over groups.  Where all votes are alike, resampling says nothing, and each group is taken for one vote."""
    share = float(scores.sum() / votes.sum())
    if share in (0.0, 1.0) and votes.size >= MIN_GROUPS:
        return wilson(share * votes.size, votes.size, confidence)
    weights = group_weights(votes.size)
    return percentile_bounds((weights @ scores) / (weights @ votes), votes.size, confidence)
