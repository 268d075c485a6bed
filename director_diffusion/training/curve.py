"""Curve: what each step cost, told while it is learned.

Belongs here: gathering losses without stopping the device at every step, telling them, and refusing those that are not
finite or explode.
"""

import dataclasses
import math
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import fmean

from torch import Tensor

from director_diffusion.errors import TrainingError
from director_diffusion.progress import Progress
from director_diffusion.training.rows import CurvePoint

READ_EVERY = 10  # steps between waits for the device
# A training that is broken answers with noise of some size. Sound ones, even overtrained, stay far below both:
WORTHLESS = 1.5  # times the loss of always answering zero, over READ_EVERY steps: the same at every noise level
EXPLODED = 3  # times the base's held-out loss, on the same stills and noise


@dataclasses.dataclass(frozen=True)
class _Pending:
    """A step whose numbers are still on the device."""

    step: int
    lr: float
    loss: Tensor
    trivial: Tensor
    grad_norm: Tensor
    stills: tuple[str, ...]


class Curve:
    """The points so far."""

    def __init__(self, progress: Progress, *, watched: bool = False):
        """`watched`: what is judged is learned too, so its loss tells of breakage and of nothing else."""
        self._judged = "watched loss" if watched else "held-out loss"
        self._progress, self._points, self._pending = progress, list[CurvePoint](), list[_Pending]()
        self._newest: deque[tuple[float, float]] = deque(maxlen=READ_EVERY)  # loss and trivial loss
        self._stills: tuple[str, ...] = ()  # of the newest step that was read

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        return tuple(self._points)

    @property
    def is_judged(self) -> bool:
        """Whether the newest point has its held-out loss."""
        return bool(self._points) and self._points[-1].held_out_loss is not None

    def resume(self, points: Iterable[CurvePoint]) -> None:
        """Go on after these."""
        self._points = list(points)

    def add(
        self, step: int, *, lr: float, loss: Tensor, trivial: Tensor, grad_norm: Tensor, stills: Sequence[str]
    ) -> None:
        """Take the numbers of optimizer step `step` (from 1); they are read now and then.

        `trivial` is the loss that always answering zero would have had.
        """
        self._pending.append(_Pending(step, lr, loss, trivial, grad_norm, tuple(stills)))
        if step % READ_EVERY == 0:
            self.read()

    def read(self) -> None:
        """Bring the curve up to date.  Raises TrainingError where a loss is not finite or explodes."""
        for pending in self._pending:
            loss, norm = pending.loss.item(), float(pending.grad_norm)
            self._stills = pending.stills
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise self._broken(pending.step, "training loss or its gradient is not finite")
            self._points.append(CurvePoint(pending.step, pending.lr, loss, norm, held_out_loss=None))
            self._newest.append((loss, pending.trivial.item()))
            self._check_explosion(pending.step)
        if self._pending:
            self._progress.observe(pending.step, {"loss": loss, "grad_norm": norm, "lr": pending.lr})
        self._pending.clear()

    def add_held_out(self, step: int, loss: float) -> None:
        """Take the held-out loss after step `step`, the newest; 0 is the base's.

        Raises TrainingError where it is not finite, or so far above the base's that these weights are broken.
        """
        if not math.isfinite(loss):
            raise self._broken(step, f"{self._judged} is not finite")
        if step and loss > EXPLODED * (base := base_held_out_loss(self._points)):
            raise self._broken(step, f"the {self._judged} has exploded: {loss:.3g}, {base:.3g} without the adapter")
        point = self._points.pop() if step else CurvePoint(0, None, None, None, None)
        self._points.append(dataclasses.replace(point, held_out_loss=loss))
        self._progress.observe(step, {self._judged.replace("-", "_").replace(" ", "_"): loss})

    def _check_explosion(self, step: int) -> None:
        """Over some steps, worse than no answer at all: it will not come back."""
        if len(self._newest) < READ_EVERY:
            return
        loss, trivial = (fmean(values) for values in zip(*self._newest, strict=True))
        if loss > WORTHLESS * trivial:
            what = f"the training loss has exploded: {loss:.3g} over {READ_EVERY} steps"
            raise self._broken(step, f"{what}, where always answering zero would cost {trivial:.3g}")

    def _broken(self, step: int, what: str) -> TrainingError:
        # A held-out still that is broken itself shows at step 0, before any batch.
        batch = f" with the stills {', '.join(self._stills)}" if self._stills and step else ""
        judged = max((point.step for point in self._points if point.held_out_loss is not None), default=0)
        good = f"the last good checkpoint is of step {judged}" if judged else "no checkpoint yet"
        return TrainingError(
            f"step {step}{batch}",
            f"{what} ({good})",
            "Lower optimizer.lr in the recipe, lengthen the warm-up, or train with precision float32.",
        )


def base_held_out_loss(points: Sequence[CurvePoint]) -> float:
    """The held-out loss before any training."""
    return _held_out(points)[0]


def held_out_at(points: Sequence[CurvePoint], step: int) -> float:
    """The held-out loss of a checkpoint."""
    return _held_out(points)[step]


def best_checkpoint(points: Sequence[CurvePoint]) -> tuple[int, float]:
    """Step and held-out loss of the best checkpoint, the earliest of equals.  The base itself is none."""
    trained = {step: loss for step, loss in _held_out(points).items() if step > 0}
    step = min(trained, key=trained.__getitem__)
    return step, trained[step]


def judged_steps(points: Sequence[CurvePoint]) -> set[int]:
    """The steps that were judged and kept to be chosen of, without the base's."""
    return _held_out(points).keys() - {0}


def _held_out(points: Sequence[CurvePoint]) -> dict[int, float]:
    return {point.step: point.held_out_loss for point in points if point.held_out_loss is not None}
