"""Restarting: a training that was killed goes on and ends in the same bytes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from director_diffusion.errors import TrainingError
from director_diffusion.hashing import hash_folder
from director_diffusion.progress import Silent
from director_diffusion.training.checkpoint import Checkpoint, Checkpoints
from director_diffusion.training.rows import CurvePoint, TrainingResult
from tests.training.trainings import RECIPE, Dataset, varied

Train = Callable[..., TrainingResult]

# Dropout inside the adapter and accumulation take part in what must be restored.
ADAPTER = RECIPE.adapter.model_copy(update={"dropout": 0.2})
RESTARTED = varied(RECIPE, adapter=ADAPTER.model_dump(), gradient_accumulation=2, steps=5)


class KilledError(Exception):
    """Stands for a kill: nothing of ours catches it."""


class KillAfter(Silent):
    """Kills the training once a number of steps are done."""

    def __init__(self, steps: int):
        self._left = steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._left -= steps
        if self._left <= 0:
            raise KilledError


def test_killed_after_any_step_it_ends_in_the_same_bytes(train: Train, tmp_path: Path) -> None:
    train(RESTARTED, name="whole")
    for steps in range(1, RESTARTED.steps + 1):
        name = f"killed after {steps}"
        with pytest.raises(KilledError):
            train(RESTARTED, name=name, progress=KillAfter(steps))
        assert not list((tmp_path / name / "out").iterdir())
        result = train(RESTARTED, name=name)
        assert result.resumed_from == (5 if steps == 5 else steps // 2 * 2)
        assert hash_folder(tmp_path / name / "out") == hash_folder(tmp_path / "whole" / "out"), name


def test_killed_twice_it_still_ends_in_the_same_bytes(train: Train, tmp_path: Path) -> None:
    train(RESTARTED, name="whole")
    for steps in (3, 4):
        with pytest.raises(KilledError):
            train(RESTARTED, name="killed", progress=KillAfter(steps))
    train(RESTARTED, name="killed")
    assert hash_folder(tmp_path / "killed" / "out") == hash_folder(tmp_path / "whole" / "out")


def test_a_damaged_checkpoint_is_passed_over(train: Train, tmp_path: Path) -> None:
    train(name="whole")
    with pytest.raises(KilledError):
        train(name="killed", progress=KillAfter(5))
    (newest,) = (tmp_path / "killed").rglob("step-000004")
    tensors = newest / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:100])
    assert train(name="killed").resumed_from == 2
    assert hash_folder(tmp_path / "killed" / "out") == hash_folder(tmp_path / "whole" / "out")


def test_half_a_checkpoint_is_none(train: Train, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(name="killed", progress=KillAfter(3))
    (whole,) = (tmp_path / "killed").rglob("step-000002")
    shutil.move(whole, whole.with_name(".part-1"))  # as a kill leaves it while it is written
    assert train(name="killed").resumed_from == 0


def test_a_checkpoint_of_another_recipe_or_of_other_data_is_not_used(train: Train, dataset: Dataset) -> None:
    with pytest.raises(KilledError):
        train(progress=KillAfter(5))
    assert train(varied(RECIPE, optimizer={"kind": "adamw", "lr": 0.02})).resumed_from == 0
    others = Dataset(dataset.store, dataset.latents[1:], dataset.prompts)
    assert train(data=others).resumed_from == 0
    assert train().resumed_from == 4


def point(step: int, held_out_loss: float | None) -> CurvePoint:
    return CurvePoint(step, 0.1, 1.0, 1.0, held_out_loss)


def test_the_newest_two_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "identity")
    curve = [CurvePoint(0, None, None, None, 1.0)]
    for step, loss in ((2, 5.0), (4, 3.0), (6, 4.0), (8, 4.0), (10, 4.0)):
        curve += [point(step - 1, None), point(step, loss)]
        checkpoints.save(Checkpoint(step, {}, tuple(curve)))
    assert checkpoints.steps() == [4, 8, 10]
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.curve == tuple(curve)
    shutil.rmtree(next(tmp_path.rglob("step-000004")))
    assert checkpoints.newest() is None  # none could end in the adapter that was chosen


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TrainingError, match="checkpoint: could not be written: no space left"):
        Checkpoints(tmp_path, "identity").save(Checkpoint(2, {}, (point(2, 1.0),)))
    assert not list(tmp_path.rglob(".part-*"))
