"""Shots: the sharpest frame from the middle of each, in flat memory.

Belongs here: which frame stands for a shot.  A shot's length is known only at its end, so a few frames are held while
it runs: the sharpest of each stretch of it, and stretches are joined two by two as the shot grows.  Frames in a fade or
a dissolve have less contrast, which the variance of the Laplacian counts squared: the sharpest is not among them.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

F = TypeVar("F")

LEAST_S = 0.6  # seconds: shorter shots are flashes (PySceneDetect's 15 frames at 25 a second)
_MIDDLE = 0.25  # of the shot is left out at either end
_STRETCHES = 8


@dataclass(frozen=True)
class Candidate(Generic[F]):
    """A frame, and what speaks for it."""

    time_s: float
    sharpness: float
    frame: F


@dataclass
class Shot(Generic[F]):
    """A shot, or a part of a long one, while it runs."""

    start_s: float
    end_s: float  # of its last frame so far, plus that frame's time on screen as far as that is known
    first_part: bool = True  # of its shot

    def __post_init__(self) -> None:
        self._best: list[Candidate[F]] = []
        self._stretch, self._filled = 1, 0  # frames of a stretch, and of the last one so far

    def add(self, candidate: Candidate[F], until_s: float) -> None:
        self.end_s = until_s
        if self._best and self._filled < self._stretch:
            self._best[-1] = _sharper(self._best[-1], candidate)
            self._filled += 1
            return
        if len(self._best) == _STRETCHES:
            pairs = zip(self._best[::2], self._best[1::2], strict=True)
            self._best = [_sharper(left, right) for left, right in pairs]
            self._stretch *= 2
        self._best.append(candidate)
        self._filled = 1

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s

    def choice(self) -> Candidate[F] | None:
        """The sharpest from the middle; None for a shot too short to be one."""
        if self.seconds < LEAST_S or not self._best:
            return None
        margin = _MIDDLE * self.seconds
        middle = [one for one in self._best if self.start_s + margin <= one.time_s <= self.end_s - margin]
        if middle:
            return max(middle, key=lambda one: one.sharpness)
        centre = (self.start_s + self.end_s) / 2
        return min(self._best, key=lambda one: abs(one.time_s - centre))


def _sharper(left: Candidate[F], right: Candidate[F]) -> Candidate[F]:
    return right if right.sharpness > left.sharpness else left
