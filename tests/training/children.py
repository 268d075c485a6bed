"""Trainings in processes of their own, for what must be killed or terminated at a known step."""

from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from director_diffusion.progress import Silent
from director_diffusion.specs import Recipe
from tests.tiny_project import CHILDREN
from tests.training.trainings import Dataset, train_at


class Telling(Silent):
    """Tells every step that is over, also one that a checkpoint let a training skip."""

    def __init__(self, pipe: Connection):
        self._pipe, self._step = pipe, 0

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._step += steps
        self._pipe.send(self._step)


class TrainingChild:
    """A training in a process of its own; with `interrupts`, as the stage runs it."""

    def __init__(self, folder: Path, dataset: Dataset, recipe: Recipe, *, interrupts: bool = False, **changes: Any):
        self._here, there = CHILDREN.Pipe()
        self.process = CHILDREN.Process(target=_train, args=(there, folder, dataset, recipe, interrupts, changes))
        self.process.start()
        there.close()
        self.step = 0

    def wait_for(self, step: int, timeout_s: float = 120) -> None:
        """Until it says that so many steps are over."""
        while self.step < step:
            assert self._here.poll(timeout_s)
            self.step = self._here.recv()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def end(self, timeout_s: float = 60) -> Any:
        """Wait for its end; what it said last."""
        said: Any = None
        try:
            while self._here.poll(timeout_s):
                said = self._here.recv()
        except EOFError:
            pass
        self.process.join(timeout_s)
        assert self.process.exitcode is not None
        return said


def _train(
    pipe: Connection, folder: Path, dataset: Dataset, recipe: Recipe, interrupts: bool, changes: dict[str, Any]
) -> None:
    from dagster import DagsterExecutionInterruptedError

    from resources.interrupts import interruptible

    def train(**further: Any) -> None:
        train_at(folder, dataset, recipe, progress=Telling(pipe), **changes, **further)

    if not interrupts:
        train()
        return
    try:
        with interruptible() as stop:
            train(stop=stop)
    except DagsterExecutionInterruptedError as error:
        pipe.send(str(error))


def stop_after(steps: int) -> Callable[[], bool]:
    """A stop that is asked for during the step of this number, counted from where the training goes on.

    It is asked once before the first.
    """
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps

    return stop
