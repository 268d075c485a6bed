"""Difference: one adapter's mean score less another's, as plain data and in words.  Imports no torch.

Belongs here: no comparing; two evaluations are set beside each other by `beside`, students and their teacher by
`few_steps`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from director_diffusion.evaluation.statistics.interval import Kind
from director_diffusion.evaluation.types import METRIC_NAMES, Metric


@dataclass(frozen=True)
class Difference:
    """Ours less theirs over the same prompts and noise, with the two-sided interval over prompts."""

    metric: Metric
    ours: float
    theirs: float
    mean: float
    low: float
    high: float
    n: int  # prompts
    seeds: int
    confidence: float
    interval: Kind


def rows_of(differences: Iterable[Difference]) -> list[list[str]]:
    """Cells of a table: the metric, ours, theirs, the difference with its interval."""
    return [
        [
            METRIC_NAMES[one.metric],
            f"{one.ours:.4f}",
            f"{one.theirs:.4f}",
            f"{one.mean:+.4f} [{one.low:+.4f}, {one.high:+.4f}]",
        ]
        for one in differences
    ]
