"""Share: the interval of a share, and tests of it against a bound.

Belongs here: counts of independent trials, exactly.
"""

from dataclasses import dataclass

from scipy import stats

from director_diffusion.evaluation.statistics.interval import Interval


@dataclass(frozen=True)
class ShareTest:
    """`count` of `n` independent trials (Clopper and Pearson 1934): exact, hence wide rather than wrong."""

    count: int
    n: int

    @property
    def mean(self) -> float:
        return self.count / self.n

    def interval(self, confidence: float) -> Interval:
        """Two-sided."""
        tail = (1 - confidence) / 2
        low = float(stats.beta.ppf(tail, self.count, self.n - self.count + 1)) if self.count else 0.0
        high = float(stats.beta.ppf(1 - tail, self.count + 1, self.n - self.count)) if self.count < self.n else 1.0
        return Interval(self.mean, low, high, self.n, "exact")

    def p_above(self, bound: float) -> float:
        """One-sided p-value of "the true share is at most `bound`"."""
        return float(stats.binom.sf(self.count - 1, self.n, bound))

    def p_below(self, bound: float) -> float:
        """One-sided p-value of "the true share is at least `bound`"."""
        return float(stats.binom.cdf(self.count, self.n, bound))
