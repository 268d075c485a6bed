"""Picking: what a person may choose of a training, and choosing it.

Belongs here: what `director pick` and the studio both ask and do.  The file is `picks`', what it does to the adapter
`choice`'s.
"""

import math
from dataclasses import dataclass

from director_diffusion.errors import TrainingError
from director_diffusion.storage import Store
from director_diffusion.training.choice import Choice, by_person
from director_diffusion.training.curve import best_checkpoint
from director_diffusion.training.finished import FinishedSteps
from director_diffusion.training.header import FOLDS, HELD_OUT_LOSS
from director_diffusion.training.picks import newest_training, read_pick, remove_pick, write_pick
from director_diffusion.training.rows import CurvePoint, Pick

MOST_STRENGTH = 2.0


@dataclass(frozen=True)
class Offer:
    """The newest training of a director, finished or not, with a pick of one of its steps where there is one."""

    training: str
    steps: tuple[int, ...]  # ascending, one at least
    curve: tuple[CurvePoint, ...]
    pick: Pick | None
    picked: Choice | str | None  # the pick's, or why it does not hold
    watched: bool  # the losses are of stills that were learned too, so the least of them tells nothing

    @property
    def losses(self) -> dict[int, float]:
        """The held-out loss of each step."""
        found = {point.step: point.held_out_loss for point in self.curve}
        return {step: loss for step in self.steps if (loss := found[step]) is not None}

    def marks(self, step: int) -> list[str]:
        """What is to be said of a step."""
        found = ["least held-out loss"] if step == self.best else []
        if isinstance(self.picked, Choice) and self.picked.step == step:
            found.append(f"picked by {self.picked.who} at strength {self.picked.strength:g}")
        return found

    @property
    def best(self) -> int | None:
        """The step of the least held-out loss."""
        return None if self.watched else best_checkpoint(self.curve)[0]


def chooser(*, folds: int) -> str:
    """Who chooses a step where no person does."""
    return HELD_OUT_LOSS if folds == 1 else FOLDS


def offer(store: Store, recipe: str, director: str, *, folds: int) -> Offer:
    """What there is to choose of.  Raises TrainingError where nothing was trained, or no checkpoint was kept yet."""
    training, finished = _newest(store, recipe, director)
    steps = finished.steps()
    pick = read_pick(store, recipe, director)
    picked = by_person(pick, training, steps, instead=chooser(folds=folds)) if pick is not None else None
    return Offer(training, tuple(steps), finished.curve(), pick, picked, watched=folds == 2)


def choose(store: Store, recipe: str, director: str, *, step: int, strength: float, who: str, why: str) -> Pick:
    """Record a choice of the newest training's steps.  Raises TrainingError for a step or strength that it has not."""
    training, finished = _newest(store, recipe, director)
    steps = finished.steps()
    if step not in steps:
        raise TrainingError(
            f"step {step}", "was not kept", f"Pick one of {', '.join(map(str, steps))}, where checkpoints were."
        )
    if not (math.isfinite(strength) and 0 < strength <= MOST_STRENGTH):
        raise TrainingError("the strength", "is out of bounds", f"Give one above 0 and up to {MOST_STRENGTH:g}.")
    pick = Pick(training, step, strength, who, why)
    write_pick(store, recipe, director, pick)
    return pick


def clear_pick(store: Store, recipe: str, director: str) -> None:
    """Take a pick back.  Raises TrainingError where there is none."""
    if read_pick(store, recipe, director) is None:
        raise TrainingError(f"{director} by {recipe}", "has no pick", "There is nothing to clear.")
    remove_pick(store, recipe, director)


def _newest(store: Store, recipe: str, director: str) -> tuple[str, FinishedSteps]:
    """The identity of the newest training, and its steps, of which there is one at least."""
    training = newest_training(store, recipe, director)
    finished = FinishedSteps(store, training)
    if not finished.steps():
        raise TrainingError(
            f"{director} by {recipe}", "has no checkpoint yet", "Let it train to its first one (checkpoint_every)."
        )
    return training, finished
