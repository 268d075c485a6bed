"""Interval: a value and where it may lie, as plain data.  Imports neither numpy nor scipy."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["studentised", "student_t", "point", "exact"]


@dataclass(frozen=True)
class Interval:
    """A mean and its two-sided interval.

    `kind` says where the interval comes from: `studentised` is the bootstrap-t; `student_t` Student's interval, where
    nearly all values are equal, so that too many resamples have no spread to divide by; `point` means that all values
    are equal and the interval is that one value; `exact` is a share's (`share`).
    """

    mean: float
    low: float
    high: float
    n: int
    kind: Kind
