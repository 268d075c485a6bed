"""Restarting: a training that was killed goes on and ends in the same bytes."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from director_diffusion.errors import TrainingError
from director_diffusion.hashing import hash_folder
from director_diffusion.progress import Silent
from director_diffusion.storage.store import Store
from director_diffusion.storage.work import work_folder
from director_diffusion.training.checkpoint import Checkpoint, Checkpoints
from director_diffusion.training.identity import Identity, tell
from director_diffusion.training.rows import CurvePoint, TrainingResult
from director_diffusion.training.stopping import TrainingStopped
from tests.training.children import TrainingChild, stop_after
from tests.training.trainings import RECIPE, Dataset, varied

Train = Callable[..., TrainingResult]

# Dropout inside the adapter and accumulation take part in what must be restored.
ADAPTER = RECIPE.adapter.model_copy(update={"dropout": 0.2})
RESTARTED = varied(RECIPE, adapter=ADAPTER.model_dump(), gradient_accumulation=2, steps=4)


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
        assert result.resumed_from == steps // 2 * 2
        assert hash_folder(tmp_path / name / "out") == hash_folder(tmp_path / "whole" / "out"), name


@pytest.mark.parametrize(("precision", "kills"), [("float32", (1, 5, 6)), ("bfloat16", (4,))])
@pytest.mark.xdist_group("children")
def test_killed_with_sigkill_again_and_again_it_ends_in_the_same_bytes(
    train: Train, dataset: Dataset, tmp_path: Path, precision: str, kills: tuple[int, ...]
) -> None:
    recipe = varied(RESTARTED, precision=precision, steps=9)
    train(recipe, name="whole")
    for steps in kills:
        child = TrainingChild(tmp_path / "killed", dataset, recipe)
        child.wait_for(steps)
        child.kill()
    assert 2 <= train(recipe, name="killed").resumed_from < 9
    assert hash_folder(tmp_path / "killed" / "out") == hash_folder(tmp_path / "whole" / "out")


KINDS: dict[str, dict[str, object]] = {  # AdamW in 8 bits is in tests/quantised
    "Prodigy, DoRA": {
        "optimizer": {"kind": "prodigy", "first_size": 1e-3},
        "adapter": {"kind": "lora", "rank": 2, "alpha": 6, "dora": True, "dropout": 0.2},
    },
    "AdamW, LoKr, recomputed": {
        "adapter": {"kind": "lokr", "factor": [4, 4], "dropout": 0.2},
        "activation_gib": 0.004,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_optimizer_and_adapter_goes_on_to_the_same_bytes(train: Train, tmp_path: Path, kind: str) -> None:
    recipe = varied(RESTARTED, **KINDS[kind])
    train(recipe, name="whole")
    with pytest.raises(TrainingStopped):
        train(recipe, name="stopped", stop=stop_after(3))
    assert train(recipe, name="stopped").resumed_from == 3
    assert hash_folder(tmp_path / "stopped" / "out") == hash_folder(tmp_path / "whole" / "out")


def test_a_damaged_checkpoint_is_passed_over(train: Train, tmp_path: Path) -> None:
    train(name="whole")
    with pytest.raises(KilledError):
        train(name="killed", progress=KillAfter(5))
    (newest,) = (tmp_path / "killed").rglob("step-000004")
    tensors = newest / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:100])
    assert train(name="killed").resumed_from == 2
    assert hash_folder(tmp_path / "killed" / "out") == hash_folder(tmp_path / "whole" / "out")


def test_without_the_steps_that_it_finished_a_training_starts_anew(train: Train, tmp_path: Path) -> None:
    """Somebody emptied the store's cache: the adapter could not be chosen of what was judged."""
    train(name="whole")
    with pytest.raises(KilledError):
        train(name="killed", progress=KillAfter(5))
    shutil.rmtree(tmp_path / "killed" / "store" / "cache" / "trainings")
    assert train(name="killed").resumed_from == 0
    assert hash_folder(tmp_path / "killed" / "out") == hash_folder(tmp_path / "whole" / "out")


def test_starting_anew_it_keeps_its_own_checkpoints(train: Train, tmp_path: Path) -> None:
    """Those of the first start are further on: they would outlive the new ones, and be of no use again."""
    train(name="whole")
    with pytest.raises(KilledError):
        train(name="killed", progress=KillAfter(7))
    shutil.rmtree(tmp_path / "killed" / "store" / "cache" / "trainings")
    with pytest.raises(KilledError):
        train(name="killed", progress=KillAfter(3))
    assert train(name="killed").resumed_from == 2
    assert hash_folder(tmp_path / "killed" / "out") == hash_folder(tmp_path / "whole" / "out")


def test_where_the_chosen_step_is_gone_it_is_trained_again(train: Train, tmp_path: Path) -> None:
    whole = train(name="whole")
    before = hash_folder(tmp_path / "whole" / "out")
    (lost,) = (tmp_path / "whole" / "store").rglob(f"step-{whole.chosen_step:06d}.safetensors")
    others = sorted(path for path in lost.parent.iterdir() if path != lost)
    lost.unlink()
    assert train(name="whole").chosen_step == whole.chosen_step
    assert lost.exists()
    assert sorted(path for path in lost.parent.iterdir() if path != lost) == others
    assert hash_folder(tmp_path / "whole" / "out") == before


def test_half_a_checkpoint_is_none(train: Train, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(name="killed", progress=KillAfter(3))
    (whole,) = (tmp_path / "killed").rglob("step-000002")
    shutil.move(whole, whole.with_name(".part-1"))  # as a kill leaves it while it is written
    assert train(name="killed").resumed_from == 0


class Notes(Silent):
    """Keeps remarks."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def note(self, text: str) -> None:
        self.seen.append(text)


def test_an_unfinished_training_of_another_recipe_or_data_is_left_and_told(train: Train, dataset: Dataset) -> None:
    with pytest.raises(KilledError):
        train(progress=KillAfter(5))
    others = Dataset(dataset.store, dataset.latents[1:], dataset.prompts)
    notes = Notes()
    assert train(varied(RECIPE, optimizer={"kind": "adamw", "lr": 0.02}), data=others, progress=notes).resumed_from == 0
    (note,) = notes.seen
    assert note.endswith("is not continued: recipe.optimizer.lr was 0.01, is 0.02; still wide0 is gone.")


def test_a_checkpoint_of_another_training_is_refused_with_what_differs(tmp_path: Path) -> None:
    """Put there by hand: the folder's name says that it is of this training, its content that it is not."""
    mine = Identity({"recipe": {"steps": 7, "optimizer": {"lr": 0.01}}, "latents": {"a": "train, x"}})
    other = Identity({"recipe": {"steps": 7, "optimizer": {"lr": 0.02}}, "latents": {}})
    Checkpoints(tmp_path, other, Store(str(tmp_path))).save(Checkpoint(2, {}, (point(2, 1.0),)))
    (tmp_path / other.short).rename(tmp_path / mine.short)
    with pytest.raises(TrainingError) as caught:
        Checkpoints(tmp_path, mine, Store(str(tmp_path))).newest()
    assert str(caught.value) == (
        f"checkpoint of step 2 in {tmp_path / mine.short}: is of another training: "
        "recipe.optimizer.lr was 0.02, is 0.01; still a is new. "
        "Undo that change to go on with it, or delete that folder to start anew."
    )


def test_what_differs_is_told_by_setting_and_by_still() -> None:
    """Settings first; a still that was added is one difference, not one of each of its parts."""

    def training(**changes: dict[str, object]) -> Identity:
        parts: dict[str, dict[str, object]] = {
            "base": {"resolution": {"side": 64}},
            "latents": {"a": "train, 1", "b": "train, 2", "c": "held_out, 3"},
            "sizes": {"a": [9, 9], "b": [9, 9], "c": [9, 9]},
            "prompts": {"a": "1", "b": "2", "c": "3", "": "0"},
        }
        return Identity({name: {**part, **changes.get(name, {})} for name, part in parts.items()})

    now = training()
    assert now.differences(now.parts) == []
    assert training(latents={"d": "train, 4"}, sizes={"d": [9, 9]}, prompts={"d": "4"}).differences(now.parts) == [
        "still d is new"
    ]
    assert now.differences(training(latents={"d": "train, 4"}, prompts={"d": "4"}).parts) == ["still d is gone"]
    other = training(base={"resolution": {"side": 128}}, latents={"c": "train, 3"}, prompts={"a": "9", "": "8"})
    assert now.differences(other.parts) == [
        "base.resolution.side was 128, is 64",
        "the empty prompt is embedded anew",
        "still a has another embedded prompt",
        "still c has another picture or split",
    ]
    assert tell([f"still {letter} is new" for letter in "abcdef"]) == (
        "still a is new; still b is new; still c is new; still d is new and 2 more"
    )


def test_what_a_kill_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, IDENTITY, Store(str(tmp_path)))
    left = tmp_path / IDENTITY.short / ".part-0123"
    left.mkdir(parents=True)
    (left / "tensors.safetensors").write_bytes(b"half")
    checkpoints.save(Checkpoint(2, {}, (point(2, 1.0),)))
    assert not left.exists()
    assert checkpoints.steps() == [2]


def test_a_damaged_checkpoint_of_another_training_is_no_obstacle(train: Train, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(varied(RECIPE, seed=4), progress=KillAfter(2))
    (identity,) = (tmp_path / "run" / "work").rglob("identity.json")
    identity.write_bytes(b"")  # as a machine that lost its power leaves it
    assert train(varied(RECIPE, steps=3)).resumed_from == 0


def point(step: int, held_out_loss: float | None) -> CurvePoint:
    return CurvePoint(step, 0.1, 1.0, 1.0, held_out_loss)


IDENTITY = Identity({"recipe": "tiny"})


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, IDENTITY, Store(str(tmp_path)))
    curve = [CurvePoint(0, None, None, None, 1.0)]
    for step, loss in ((2, 5.0), (4, 3.0), (6, 4.0), (8, 4.0), (10, 4.0)):
        curve += [point(step - 1, None), point(step, loss)]
        checkpoints.save(Checkpoint(step, {}, tuple(curve)))
    assert checkpoints.steps() == [8, 10]
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.curve == tuple(curve)


def test_another_machine_goes_on_from_the_copy_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"memory://{tmp_path}")

    def on(machine: str) -> Checkpoints:
        (tmp_path / machine).mkdir(exist_ok=True)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / machine))
        return Checkpoints(work_folder(store, "trainings/tiny/ann"), IDENTITY, store)

    def newest(checkpoints: Checkpoints) -> int | None:
        found = checkpoints.newest()
        return found and found.step

    first = on("first")
    for step in (2, 4, 6):
        first.save(Checkpoint(step, {"adapter": {"x": torch.ones(2)}}, (point(step, 1.0),)))
    second = on("second")
    assert newest(second) == 6
    second.save(Checkpoint(8, {}, (point(8, 1.0),)))
    assert second.steps() == [6, 8]
    copies = f"work/trainings/tiny/ann/{IDENTITY.short}"
    assert store.names(copies) == ["step-000006", "step-000008"]
    assert newest(on("first")) == 8, "what it had itself is older"
    store.delete(f"{copies}/step-000008/curve.parquet")  # the second was killed while it sent it
    assert newest(on("third")) == 6
    on("third").clear()
    assert store.sizes("work") == {}


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TrainingError, match="checkpoint: could not be written: no space left"):
        Checkpoints(tmp_path, IDENTITY, Store(str(tmp_path))).save(Checkpoint(2, {}, (point(2, 1.0),)))
    assert not list(tmp_path.rglob(".part-*"))
