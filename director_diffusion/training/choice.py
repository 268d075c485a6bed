"""Choice: which of a training's finished steps becomes the adapter.

Belongs here: a person's pick against the held-out loss, or against the folds where nothing is held out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from director_diffusion.training.curve import best_checkpoint
from director_diffusion.training.header import FOLDS, HELD_OUT_LOSS
from director_diffusion.training.rows import CurvePoint, Pick


@dataclass(frozen=True)
class Choice:
    """A step, who chose it and why."""

    step: int
    strength: float
    who: str
    why: str

    @property
    def by(self) -> str:
        """In one line."""
        return f"{self.who}: {self.why}" if self.why else self.who


def by_held_out_loss(curve: Sequence[CurvePoint]) -> Choice:
    """The step of the least held-out loss, at the strength it was trained at."""
    return Choice(best_checkpoint(curve)[0], 1.0, HELD_OUT_LOSS, "")


def by_folds(steps: Sequence[int], finished: Sequence[int]) -> Choice:
    """The finished step nearest to the mean of those that the folds chose, the earlier of two, as it was trained."""
    mean = fmean(steps)
    nearest = min(sorted(finished), key=lambda step: abs(step - mean))
    return Choice(nearest, 1.0, FOLDS, f"mean of steps {' and '.join(map(str, steps))}")


def by_person(pick: Pick, training: str, finished: Sequence[int], *, instead: str = HELD_OUT_LOSS) -> Choice | str:
    """The pick's, or why it does not hold for this training; `instead` chose then."""
    if pick.training != training:
        return (
            f"The pick of step {pick.step} by {pick.who} was made of another training ({pick.training}); this one is "
            f"{training}, and the {instead} chose. Pick again: director pick."
        )
    if pick.step not in finished:
        return (
            f"The pick of step {pick.step} by {pick.who} is of a step that was not kept; there are "
            f"{', '.join(map(str, finished)) or 'none yet'}. The {instead} chose."
        )
    return Choice(pick.step, pick.strength, pick.who, pick.why)
