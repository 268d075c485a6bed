"""Stopping: a training that is asked to end saves where it is, quickly, and ends in the same bytes later."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import DagsterExecutionInterruptedError

from director_diffusion.hashing import hash_folder
from director_diffusion.training import loop
from director_diffusion.training.rows import TrainingResult
from director_diffusion.training.stopping import TrainingStopped
from resources.interrupts import interruptible
from tests.training.children import TrainingChild, stop_after
from tests.training.trainings import RECIPE, Dataset, varied

Train = Callable[..., TrainingResult]
EVERY = RECIPE.checkpoint_every


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for every time that the held-out loss was measured."""
    seen: list[None] = []
    measure = loop.held_out_loss

    def counting(*arguments: object) -> float:
        seen.append(None)
        return measure(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "held_out_loss", counting)
    return seen


def steps_in(folder: Path, pattern: str) -> list[int]:
    return sorted(int(path.name.removeprefix("step-").split(".")[0]) for path in folder.rglob(pattern))


@pytest.mark.parametrize("step", [3, 4], ids=["between checkpoints", "at one"])
def test_it_saves_at_the_very_step_and_ends_in_the_same_bytes(
    train: Train, tmp_path: Path, judged: list[None], step: int
) -> None:
    whole = train(name="whole")
    judged.clear()
    with pytest.raises(TrainingStopped) as caught:
        train(name="stopped", stop=stop_after(step))
    assert str(caught.value) == (f"stopped after step {step} of 7, saved: it goes on from there when it is run again")
    assert len(judged) == len((0, 2)), "stopping waits for no judgement, not even one that was due"
    assert steps_in(tmp_path / "stopped" / "work", "step-*") == [2, step]
    assert steps_in(tmp_path / "stopped" / "store", "step-*.safetensors") == [2]
    assert not list((tmp_path / "stopped" / "out").iterdir())

    result = train(name="stopped")
    assert result.resumed_from == step
    assert result.curve == whole.curve
    assert hash_folder(tmp_path / "stopped" / "out") == hash_folder(tmp_path / "whole" / "out")
    assert steps_in(tmp_path / "stopped" / "store", "step-*.safetensors") == [2, 4, 6, 7], "what was due is made up for"


def test_stopped_again_and_again_it_still_ends_in_the_same_bytes(train: Train, tmp_path: Path) -> None:
    train(name="whole")
    for steps in range(1, 7):
        with pytest.raises(TrainingStopped, match=f"stopped after step {steps} "):
            train(name="stopped", stop=stop_after(1))
    assert train(name="stopped").resumed_from == 6
    assert hash_folder(tmp_path / "stopped" / "out") == hash_folder(tmp_path / "whole" / "out")


def test_asked_before_its_first_step_it_judges_and_trains_nothing(
    train: Train, tmp_path: Path, judged: list[None]
) -> None:
    with pytest.raises(TrainingStopped, match="stopped after step 0 of 7"):
        train(name="stopped", stop=lambda: True)
    assert not judged
    assert not steps_in(tmp_path / "stopped", "step-*")


def test_a_stop_with_the_last_step_finds_the_training_over(train: Train, tmp_path: Path) -> None:
    train(name="whole")
    train(name="stopped", stop=stop_after(7))
    assert hash_folder(tmp_path / "stopped" / "out") == hash_folder(tmp_path / "whole" / "out")


@pytest.mark.xdist_group("children")
def test_sigterm_saves_and_ends_cleanly(train: Train, dataset: Dataset, tmp_path: Path) -> None:
    recipe = varied(RECIPE, steps=200, checkpoint_every=100)
    child = TrainingChild(tmp_path / "stopped", dataset, recipe, interrupts=True)
    child.wait_for(3)
    os.kill(child.process.pid or 0, signal.SIGTERM)
    said = child.end()
    assert child.process.exitcode == 0
    (step,) = steps_in(tmp_path / "stopped" / "work", "step-*")
    assert said == f"stopped after step {step} of 200, saved: it goes on from there when it is run again"
    assert 3 <= step <= child.step + 5


# --- between Dagster and a training ------------------------------------------------------------------------------


def stopped_inside() -> None:
    """A training's body that is interrupted and stops for it."""
    with interruptible() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        assert stop(), "it stays asked"
        raise TrainingStopped(3, 7)


def over_inside() -> None:
    """One that is interrupted with nothing left to stop."""
    with interruptible():
        os.kill(os.getpid(), signal.SIGINT)


def broken_inside() -> None:
    """One that is interrupted, and fails before it can stop."""
    with interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        raise ValueError("memory ran out")


def test_an_interrupt_is_a_question_inside_and_ends_the_run_outside() -> None:
    with pytest.raises(DagsterExecutionInterruptedError, match="stopped after step 3 of 7"):
        stopped_inside()


def test_an_interrupt_that_came_too_late_to_stop_a_step_is_not_lost() -> None:
    with pytest.raises(DagsterExecutionInterruptedError, match="after the last step"):
        over_inside()
    with interruptible() as stop:
        assert not stop(), "and is over then"


def test_an_interrupt_outlives_an_error_that_came_after_it() -> None:
    with pytest.raises(DagsterExecutionInterruptedError, match="memory ran out") as caught:
        broken_inside()
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_error_inside_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="of its own"), interruptible():
        raise ValueError("of its own")
