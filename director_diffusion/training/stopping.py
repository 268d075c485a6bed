"""Stopping: how a training is asked to end early, and how it says that it has.

Belongs here: nothing about signals; who asks is the caller's affair.
"""

from collections.abc import Callable

Stop = Callable[[], bool]
"""Asked between steps; True ends the training after a checkpoint."""


def never() -> bool:
    """Nobody asks."""
    return False


class Stopped(Exception):  # noqa: N818 — nothing went wrong
    """Work ended because it was asked to; what it came to is kept."""


class TrainingStopped(Stopped):
    """A training ended because it was asked to; its checkpoint lets it go on, and its finished steps may be picked."""

    def __init__(self, step: int, steps: int):
        super().__init__(f"stopped after step {step} of {steps}, saved: it goes on from there when it is run again")
        self.step, self.steps = step, steps
