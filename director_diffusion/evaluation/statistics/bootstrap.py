"""Bootstrap: the interval of a mean, and tests of it against a bound.

Belongs here: resampling statistics of plain numbers.  What the numbers are is `effects`' matter.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.statistics.interval import Interval, Kind

MIN_VALUES = 4  # fewer say too little about their own spread to be resampled
_BLOCK_VALUES = 400_000  # resampled at a time, so that memory stays flat
_LEAST_TAIL = 0.025  # of the resamples: where as many have no spread, the bootstrap says nothing about a tail


@dataclass(frozen=True)
class MeanTest:
    """A mean, and what resampling says of how far it may be from the true one."""

    mean: float
    error: float  # standard error
    n: int  # prompts
    kind: Kind
    t: NDArray[np.float64] = field(repr=False)  # (mean* − mean) / se* of resamples, ascending; () unless studentised

    def interval(self, confidence: float) -> Interval:
        """Two-sided (Efron and Tibshirani 1993, section 12.5)."""
        tail = (1 - confidence) / 2
        if self.kind == "point":
            t_low = t_high = 0.0
        elif self.kind == "student_t":
            t_high = float(stats.t.ppf(1 - tail, self.n - 1))
            t_low = -t_high
        else:
            t_low, t_high = np.quantile(self.t, [tail, 1 - tail]).tolist()
        return Interval(self.mean, self.mean - t_high * self.error, self.mean - t_low * self.error, self.n, self.kind)

    def p_above(self, bound: float) -> float:
        """One-sided p-value of "the true mean is at most `bound`": small where the values lie above it.

        Below (1 − confidence) / 2 where `interval(confidence)` lies above the bound, but for one order statistic of the
        resamples: a p-value counts its own value among them.
        """
        if self.kind == "point":
            return 0.0 if self.mean > bound else 1.0
        t = (self.mean - bound) / self.error
        if self.kind == "student_t":
            return float(stats.t.sf(t, self.n - 1))
        return float((np.count_nonzero(self.t >= t) + 1) / (self.t.size + 1))

    def p_below(self, bound: float) -> float:
        """As `p_above`, of "the true mean is at least `bound`"."""
        if self.kind == "point":
            return 0.0 if self.mean < bound else 1.0
        t = (self.mean - bound) / self.error
        if self.kind == "student_t":
            return float(stats.t.cdf(t, self.n - 1))
        return float((np.count_nonzero(self.t <= t) + 1) / (self.t.size + 1))


def mean_test(values: ArrayLike, *, resamples: int, seed: int) -> MeanTest:
    """The mean of `values`, shape (prompts,) or (prompts, seeds): the seeds of a prompt are draws within it.

    Resampled hierarchically: prompts, then the seeds of each.  Each resample's mean is divided by its own standard
    error over prompts (bootstrap-t), which repairs the under-coverage of the percentile bootstrap at 8 to 50 prompts,
    follows skew, and takes the further spread that resampled seeds bring out of the interval again.  Raises
    EvaluationError for fewer than 4 prompts or non-finite values.
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or x.shape[0] < MIN_VALUES or x.shape[1] < 1:
        raise EvaluationError(
            "interval", f"{x.shape[0]} values are too few to tell their spread", f"Give {MIN_VALUES} or more prompts."
        )
    if not np.isfinite(x).all():
        raise EvaluationError("interval", "some values are not finite", "Look for the samples whose scores are not.")
    means = x.mean(axis=1)
    n, mean = means.size, float(means.mean())
    if np.ptp(means) == 0:
        return MeanTest(mean, 0.0, n, "point", np.empty(0))
    error = float(means.std(ddof=1) / np.sqrt(n))
    t = _studentised_means(x, mean, resamples, np.random.default_rng(seed))
    # A resample of equal values has no t of its own.  A handful of them does not move a quantile by much.
    if np.isnan(t).mean() >= _LEAST_TAIL:
        return MeanTest(mean, error, n, "student_t", np.empty(0))
    return MeanTest(mean, error, n, "studentised", np.sort(t[~np.isnan(t)]))


def mean_interval(values: ArrayLike, *, confidence: float, resamples: int, seed: int) -> Interval:
    """The interval of `mean_test`."""
    return mean_test(values, resamples=resamples, seed=seed).interval(confidence)


def _studentised_means(
    x: NDArray[np.float64], mean: float, resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """t* = (mean* − mean) / se* of each resample of x (n, seeds), shape (resamples,); NaN where se* is 0."""
    n, seeds = x.shape
    block = max(1, _BLOCK_VALUES // x.size)
    t = np.empty(resamples)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        prompts = rng.integers(0, n, size=(rows, n))
        if seeds == 1:
            drawn = x[prompts, 0]
        else:
            drawn = x[prompts[:, :, None], rng.integers(0, seeds, size=(rows, n, seeds))].mean(axis=2)
        error = drawn.std(axis=1, ddof=1) / np.sqrt(n)
        flat = np.ptp(drawn, axis=1) == 0
        t[start : start + rows] = np.where(flat, np.nan, (drawn.mean(axis=1) - mean) / np.where(flat, 1.0, error))
    return t
