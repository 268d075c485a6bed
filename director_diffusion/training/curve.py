"""Curve: what each step cost, told while it is learned.

Belongs here: gathering losses without stopping the device at every step, telling them, and refusing numbers that are
not finite.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from director_diffusion.errors import TrainingError
from director_diffusion.progress import Progress
from director_diffusion.training.rows import CurvePoint

READ_EVERY = 10  # steps between waits for the device


@dataclasses.dataclass(frozen=True)
class _Pending:
    """A step whose numbers are still on the device."""

    step: int
    lr: float
    losses: list[Tensor]
    grad_norm: Tensor
    stills: tuple[str, ...]


class Curve:
    """The points so far."""

    def __init__(self, progress: Progress, points: Iterable[CurvePoint] = ()):
        self._progress, self._points, self._pending = progress, list(points), list[_Pending]()
        self._checkpoint = max((point.step for point in self._points), default=0)

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        return tuple(self._points)

    def add(self, step: int, *, lr: float, losses: Sequence[Tensor], grad_norm: Tensor, stills: Sequence[str]) -> None:
        """Take the numbers of optimizer step `step` (from 1); they are read now and then."""
        self._pending.append(_Pending(step, lr, [loss.detach() for loss in losses], grad_norm, tuple(stills)))
        if step % READ_EVERY == 0:
            self.read()

    def read(self) -> None:
        """Bring the curve up to date.  Raises TrainingError, naming the step, for a loss that is not finite."""
        for pending in self._pending:
            loss, norm = torch.stack(pending.losses).mean().item(), float(pending.grad_norm)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise self._broken(pending.step, "training loss or its gradient", pending.stills)
            self._points.append(CurvePoint(pending.step, pending.lr, loss, norm, held_out_loss=None))
        if self._pending:
            last = self._points[-1]
            self._progress.observe(last.step, {"loss": loss, "grad_norm": norm, "lr": pending.lr})
        self._pending.clear()

    def add_held_out(self, step: int, loss: float) -> None:
        """Take the held-out loss after step `step`, the newest; 0 is the base's."""
        if not math.isfinite(loss):
            raise self._broken(step, "held-out loss", ())
        point = self._points.pop() if step else CurvePoint(0, None, None, None, None)
        self._points.append(dataclasses.replace(point, held_out_loss=loss))
        self._progress.observe(step, {"held_out_loss": loss})
        self._checkpoint = step

    def _broken(self, step: int, what: str, stills: Sequence[str]) -> TrainingError:
        batch = f" with the stills {', '.join(stills)}" if stills else ""
        good = f"the last good checkpoint is of step {self._checkpoint}" if self._checkpoint else "no checkpoint yet"
        return TrainingError(
            f"step {step}{batch}",
            f"{what} is not finite ({good})",
            "Lower optimizer.lr in the recipe, lengthen the warm-up, or train with precision float32.",
        )


def base_held_out_loss(points: Sequence[CurvePoint]) -> float:
    """The held-out loss before any training."""
    return _held_out(points)[0]


def best_checkpoint(points: Sequence[CurvePoint]) -> tuple[int, float]:
    """Step and held-out loss of the best checkpoint, the earliest of equals.  The base itself is none."""
    trained = {step: loss for step, loss in _held_out(points).items() if step > 0}
    step = min(trained, key=trained.__getitem__)
    return step, trained[step]


def _held_out(points: Sequence[CurvePoint]) -> dict[int, float]:
    return {point.step: point.held_out_loss for point in points if point.held_out_loss is not None}
