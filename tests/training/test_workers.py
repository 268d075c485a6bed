"""Workers: a training shared by two is the training of one, and none of them outlives the others.

They come from the fork server that has the libraries (`tests.tiny_project`); one test starts them as users do.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from director_diffusion import crew
from director_diffusion.errors import TrainingError
from director_diffusion.hashing import hash_folder
from director_diffusion.progress import Silent
from director_diffusion.training.rows import WEIGHTS, CurvePoint, TrainingResult
from director_diffusion.training.stopping import TrainingStopped
from tests.tiny_project import CHILDREN
from tests.training.children import TrainingChild
from tests.training.trainings import RECIPE, Dataset, varied

pytestmark = pytest.mark.xdist_group("children")

Train = Callable[..., TrainingResult]

SHARED = varied(RECIPE, gradient_accumulation=2, batch_size=1, steps=12, checkpoint_every=4)
ROWS = varied(RECIPE, gradient_accumulation=1, batch_size=2, steps=5)


@pytest.fixture(autouse=True)
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "CONTEXT", CHILDREN)


class Seen(Silent):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.steps, self.total, self.observed = 0, 0, list[int]()

    def task(self, title: str, total: int):  # type: ignore[no-untyped-def]
        self.total = total
        return super().task(title, total)

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.steps += steps

    def observe(self, step: int, values: dict[str, float]) -> None:
        self.observed.append(step)


def numbers_of(point: CurvePoint) -> list[float]:
    return [number for number in (point.loss, point.grad_norm, point.held_out_loss) if number is not None]


def assert_alike(one: TrainingResult, two: TrainingResult, folder: Path) -> None:
    """Up to the order in which numbers were added."""
    assert [(point.step, point.lr) for point in one.curve] == [(point.step, point.lr) for point in two.curve]
    for mine, theirs in zip(one.curve, two.curve, strict=True):
        assert numbers_of(mine) == pytest.approx(numbers_of(theirs), rel=1e-5)
    assert one.chosen_step == two.chosen_step
    a, b = (load_file(folder / name / "out" / WEIGHTS) for name in ("one", "two"))
    assert a.keys() == b.keys()
    # AdamW divides tiny gradients by their own size, which magnifies rounding in a few of them.
    near = torch.cat([torch.isclose(a[name], b[name], rtol=1e-3, atol=1e-4).flatten() for name in a])
    assert near.float().mean() > 0.99


def test_each_taking_a_batch_of_the_step_is_the_same_training(train: Train, tmp_path: Path) -> None:
    """With dropout in the adapter too: a batch is the same whichever process has it."""
    recipe = varied(SHARED, adapter={"kind": "lora", "rank": 2, "alpha": 6, "dropout": 0.2})
    seen = Seen()
    one, two = train(recipe, name="one"), train(recipe, name="two", processes=2, progress=seen)
    assert_alike(one, two, tmp_path)
    assert (seen.steps, seen.total) == (12, 12)
    assert {0, 4, 8, 12} <= set(seen.observed)


def test_each_taking_rows_of_every_batch_is_the_same_training(train: Train, tmp_path: Path) -> None:
    assert_alike(train(ROWS, name="one"), train(ROWS, name="two", processes=2), tmp_path)


class Steps(Silent):
    """Counts them."""

    done = 0

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps


def test_stopped_in_the_middle_both_stop_after_the_same_step_and_end_in_the_same_bytes(
    train: Train, tmp_path: Path
) -> None:
    train(SHARED, name="whole", processes=2)
    steps = Steps()
    with pytest.raises(TrainingStopped, match="stopped after step 10 of 12, saved"):
        train(SHARED, name="stopped", processes=2, progress=steps, stop=lambda: steps.done >= 1)
    assert train(SHARED, name="stopped", processes=2).resumed_from == 10
    assert hash_folder(tmp_path / "stopped" / "out") == hash_folder(tmp_path / "whole" / "out")


class KillOne(Silent):
    """Kills the second process once some steps are over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int):
        self._left, self._pids = after, list[int]()
        start = crew._start

        def noting(*arguments: object) -> crew._Worker:
            worker = start(*arguments)  # type: ignore[arg-type]
            self._pids.append(worker.process.pid or 0)
            return worker

        monkeypatch.setattr(crew, "_start", noting)

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._left -= steps
        if self._left == 0:
            os.kill(self._pids[1], signal.SIGKILL)

    @property
    def living(self) -> list[int]:
        return [pid for pid in self._pids if psutil.pid_exists(pid)]


def test_one_that_is_killed_ends_all_and_the_next_run_goes_on(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killing = KillOne(monkeypatch, after=6)
    started = time.monotonic()
    with pytest.raises(TrainingError, match="process 2 of 2 of a training: ended with exit code -9"):
        train(SHARED, name="two", processes=2, progress=killing)
    assert time.monotonic() - started < 60
    assert killing.living == []
    two = train(SHARED, name="two")  # by one alone: what is unfinished is nobody's in particular
    assert two.resumed_from == 4
    assert_alike(train(SHARED, name="one"), two, tmp_path)


def test_an_error_of_one_is_told_as_it_is(train: Train, dataset: Dataset) -> None:
    with pytest.raises(TrainingError, match="3 processes: cannot share a step of 2 batches of 1 evenly"):
        train(SHARED, processes=3)
    others = Dataset(dataset.store, [row for row in dataset.latents if row.split != "validation"], dataset.prompts)
    with pytest.raises(TrainingError, match="stills: include none to choose its step by"):
        train(SHARED, name="none", processes=2, data=others)


def test_where_the_one_that_started_them_is_killed_they_end(dataset: Dataset, tmp_path: Path) -> None:
    """As users start them: by new processes that import everything themselves."""
    parent = TrainingChild(tmp_path / "two", dataset, varied(SHARED, steps=4000), processes=2)
    parent.wait_for(2)
    children = [
        child for child in psutil.Process(parent.process.pid).children() if "spawn_main" in str(child.cmdline())
    ]
    assert len(children) == 2
    parent.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
