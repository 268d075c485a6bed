"""Resampling: intervals by drawing whole groups of votes again.

Belongs here: the bootstrap over groups (voters, or prompts), for any estimate.  One voter's votes resemble each other,
so votes cannot be drawn one by one: an interval that takes them as independent is too narrow.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Bounds = tuple[float, float]

MIN_GROUPS = 5  # fewer say too little of how groups differ
RESAMPLES = 2000
SEED = 0
_LEAST_TAIL = 0.025  # of the resamples: where as many say nothing, no tail can be told


@lru_cache(maxsize=4)
def group_weights(groups: int, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """How often each group is drawn in each resample, (resamples, groups); with replacement, as many as there are.

    Do not change what it returns: it is drawn once.
    """
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return drawn.astype(np.float64)


def percentile_bounds(estimates: Floats, groups: int, confidence: float) -> Bounds | None:
    """The interval between percentiles of resampled estimates (resamples,); NaN where a resample said nothing.

    The percentiles are set further out, as Student's t with groups − 1 degrees of freedom asks and by √(n / (n − 1)):
    plain ones are too narrow where there are few groups (the expanded percentile interval of Hesterberg 2015, "What
    Teachers Should Know About the Bootstrap").  None for fewer than five groups.
    """
    known = estimates[~np.isnan(estimates)]
    if groups < MIN_GROUPS or known.size < (1 - _LEAST_TAIL) * estimates.size:
        return None
    tail = (1 - confidence) / 2
    expanded = float(stats.norm.cdf(math.sqrt(groups / (groups - 1)) * stats.t.ppf(tail, groups - 1)))
    low, high = np.quantile(known, [expanded, 1 - expanded]).tolist()
    return low, high
