"""Picking: what a person may choose of a training, and choosing it.

Belongs here: what `director pick` and the studio both ask and do.  The file is `picks`', what it does to the adapter
`choice`'s.
"""

import math
from dataclasses import dataclass

from director_diffusion.errors import ChangedError, EditError
from director_diffusion.storage import Store
from director_diffusion.storage.edited import mark, replace_unchanged
from director_diffusion.training.choice import Choice, by_person
from director_diffusion.training.curve import best_checkpoint
from director_diffusion.training.finished import FinishedSteps
from director_diffusion.training.header import FOLDS, HELD_OUT_LOSS
from director_diffusion.training.picks import (
    encode_pick,
    newest_training,
    pick_name,
    read_pick,
    remove_pick,
    write_pick,
)
from director_diffusion.training.rows import CurvePoint, Pick

MOST_STRENGTH = 2.0


@dataclass(frozen=True)
class Seen:
    """What somebody was shown who picks: which training, and the mark of the pick's file."""

    training: str
    mark: str


@dataclass(frozen=True)
class Offer:
    """The newest training of a director, finished or not, with a pick of one of its steps where there is one."""

    training: str
    steps: tuple[int, ...]  # ascending, one at least
    curve: tuple[CurvePoint, ...]
    pick: Pick | None
    picked: Choice | str | None  # the pick's, or why it does not hold
    mark: str  # of the pick's file
    watched: bool  # the losses are of stills that were learned too, so the least of them tells nothing

    @property
    def seen(self) -> Seen:
        return Seen(self.training, self.mark)

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
    """What there is to choose of.  Raises EditError where nothing was trained, or no checkpoint was kept yet."""
    training, finished = _newest(store, recipe, director)
    steps = finished.steps()
    seen = mark(store, pick_name(recipe, director))  # before the pick is read: who overlooks a newer one is told
    pick = read_pick(store, recipe, director)
    picked = by_person(pick, training, steps, instead=chooser(folds=folds)) if pick is not None else None
    return Offer(training, tuple(steps), finished.curve(), pick, picked, seen, watched=folds == 2)


def choose(
    store: Store,
    recipe: str,
    director: str,
    *,
    step: int,
    strength: float,
    who: str,
    why: str,
    seen: Seen | None = None,
) -> Pick:
    """Record a choice of the newest training's steps, in place of any earlier one, or of that which was `seen`.

    Raises EditError for a step or strength that there is not, ChangedError where things are no longer as seen.
    """
    training, finished = _newest(store, recipe, director)
    steps = finished.steps()
    if seen is not None and seen.training != training:
        raise ChangedError(f"{director} by {recipe}", "was trained anew since it was shown", "Look at its steps again.")
    if step not in steps:
        raise EditError(
            f"step {step}", "was not kept", f"Pick one of {', '.join(map(str, steps))}, where checkpoints were."
        )
    if not (math.isfinite(strength) and 0 < strength <= MOST_STRENGTH):
        raise EditError("the strength", "is out of bounds", f"Give one above 0 and up to {MOST_STRENGTH:g}.")
    pick = Pick(training, step, strength, who, why)
    _put(store, recipe, director, pick, seen)
    return pick


def clear_pick(store: Store, recipe: str, director: str, *, seen: Seen | None = None) -> None:
    """Leave the choice to the training again.  Raises EditError where there is no pick, ChangedError as above."""
    if read_pick(store, recipe, director) is None:
        raise EditError(f"{director} by {recipe}", "has no pick", "There is nothing to clear.")
    _put(store, recipe, director, None, seen)


def _put(store: Store, recipe: str, director: str, pick: Pick | None, seen: Seen | None) -> None:
    if seen is not None:
        name, data = pick_name(recipe, director), encode_pick(pick).encode() if pick is not None else None
        replace_unchanged(store, name, {name: data}, {name: seen.mark}, title=f"The pick of {director} by {recipe}")
    elif pick is not None:
        write_pick(store, recipe, director, pick)
    else:
        remove_pick(store, recipe, director)


def _newest(store: Store, recipe: str, director: str) -> tuple[str, FinishedSteps]:
    """The identity of the newest training, and its steps, of which there is one at least."""
    training = newest_training(store, recipe, director)
    finished = FinishedSteps(store, training)
    if not finished.steps():
        raise EditError(
            f"{director} by {recipe}", "has no checkpoint yet", "Let it train to its first one (checkpoint_every)."
        )
    return training, finished
