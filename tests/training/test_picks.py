"""Picks: a person's step in the held-out loss's place, and a training that was stopped for one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline
from safetensors.torch import load_file

from director_diffusion.errors import EditError, StoreError
from director_diffusion.hashing import hash_folder
from director_diffusion.packages import package_versions
from director_diffusion.specs import Director
from director_diffusion.storage.store import Store
from director_diffusion.training.checks import judge
from director_diffusion.training.finished import FinishedSteps
from director_diffusion.training.header import header_of, read_header
from director_diffusion.training.picks import (
    decode_pick,
    encode_pick,
    newest_training,
    pick_name,
    read_pick,
    remove_pick,
    write_pick,
)
from director_diffusion.training.rows import Pick, TrainingResult
from director_diffusion.training.state import TrainingState
from director_diffusion.training.stopping import TrainingStopped
from tests.training.children import stop_after
from tests.training.trainings import METADATA, RECIPE, Dataset, make_job, varied

Train = Callable[..., TrainingResult]
WEIGHTS = "pytorch_lora_weights.safetensors"
PICK = Pick(training="0123456789abcdef", step=4, strength=0.75, who="ann", why="softer – 柔らかい")


def picked(result: TrainingResult, step: int, strength: float = 1.0, why: str = "") -> Pick:
    return Pick(training=result.training, step=step, strength=strength, who="ann", why=why)


def count_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of each step that is learned from now on."""
    learned: list[int] = []
    original = TrainingState.learn

    def counting(self: TrainingState, *arguments: object) -> None:
        original(self, *arguments)  # type: ignore[arg-type]
        learned.append(self.step)

    monkeypatch.setattr(TrainingState, "learn", counting)
    return learned


# --- as files ----------------------------------------------------------------------------------------------------


def test_a_pick_is_kept_replaced_and_removed(store: Store) -> None:
    assert read_pick(store, "tiny", "nolan") is None
    write_pick(store, "tiny", "nolan", PICK)
    assert read_pick(store, "tiny", "nolan") == PICK
    assert read_pick(store, "tiny", "fincher") is None
    other = Pick("t", 6, 1.0, "bob", "")
    write_pick(store, "tiny", "nolan", other)
    assert read_pick(store, "tiny", "nolan") == other
    remove_pick(store, "tiny", "nolan")
    assert read_pick(store, "tiny", "nolan") is None
    assert decode_pick(encode_pick(None), "pick") is None


@pytest.mark.parametrize("text", ["{", "[]", '{"step": 3}', '{"training": "t", "step": 3, "hat": "red"}'])
def test_a_file_that_holds_no_pick_is_named(store: Store, text: str) -> None:
    store.write(pick_name("tiny", "nolan"), text.encode())
    with pytest.raises(StoreError, match=r"picks/tiny/nolan\.json: holds no pick"):
        read_pick(store, "tiny", "nolan")


def test_nothing_trained_says_how_to_train(store: Store) -> None:
    with pytest.raises(EditError, match=r"has not been trained yet.*director run nolan --recipe tiny"):
        newest_training(store, "tiny", "nolan")


# --- what a pick does --------------------------------------------------------------------------------------------


def test_a_pick_makes_its_step_the_adapter_and_trains_nothing(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mini_base: Path
) -> None:
    first = train()
    assert newest_training(Store(str(tmp_path / "run" / "store")), "tiny", "nolan") == first.training
    step = next(step for step in (2, 4, 6, 7) if step != first.chosen_step)
    learned = count_steps(monkeypatch)
    result = train(pick=picked(first, step, 0.5, "softer"))
    assert not learned
    assert (result.chosen_step, result.strength, result.chosen_by) == (step, 0.5, "ann: softer")
    outcomes = {outcome.name: outcome for outcome in judge(result)}
    assert all(outcome.passed for outcome in outcomes.values())
    assert "ann: softer" in outcomes["pick_holds"].description

    out = tmp_path / "run" / "out"
    header = read_header(out / WEIGHTS)
    assert {header[name] for name in ("step", "strength", "chosen_by", "chosen_why")} == {
        str(step),
        "0.5",
        "ann",
        "softer",
    }
    facts = json.loads((out / "training.json").read_text())
    assert (facts["chosen_step"], facts["strength"], facts["chosen_by"]) == (step, 0.5, "ann: softer")

    # For users of diffusers the picked step's ΔW is halved: B A · alpha / rank by hand, of the kept average.
    average = FinishedSteps(Store(str(tmp_path / "run" / "store")), first.training).load(step).weights
    pipeline = FluxPipeline.from_pretrained(mini_base, local_files_only=True)
    name = "transformer_blocks.0.ff.net.2"
    plain = pipeline.transformer.get_submodule(name)
    x = torch.randn(3, plain.in_features)
    expected = plain(x) + 0.5 * 6 / 2 * x @ average[f"{name}.lora_A.weight"].T @ average[f"{name}.lora_B.weight"].T
    pipeline.load_lora_weights(out)
    torch.testing.assert_close(pipeline.transformer.get_submodule(name)(x), expected, rtol=1e-4, atol=1e-5)

    assert train().chosen_by == "held-out loss", "without the pick it is as before"


def test_a_pick_of_the_step_that_was_chosen_anyway_has_the_same_weights(train: Train, tmp_path: Path) -> None:
    first = train()
    before = {name: tensor.clone() for name, tensor in load_file(tmp_path / "run" / "out" / WEIGHTS).items()}
    train(pick=picked(first, first.chosen_step))
    after = load_file(tmp_path / "run" / "out" / WEIGHTS)
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_a_pick_of_another_training_does_not_hold_and_is_told(train: Train) -> None:
    first = train(name="first")
    other = train(varied(RECIPE, seed=4), name="other", pick=picked(first, 4))
    assert other.chosen_by == "held-out loss"
    (outcome,) = (outcome for outcome in judge(other) if outcome.name == "pick_holds")
    assert not outcome.passed
    assert not outcome.blocking
    assert f"was made of another training ({first.training})" in outcome.description
    never = train(name="first", pick=picked(first, 3))
    assert "of a step that was not kept; there are 2, 4, 6, 7" in never.pick_unused


# --- stopping early ----------------------------------------------------------------------------------------------


def test_stopped_early_the_best_so_far_is_a_pick_and_clearing_it_goes_on(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(name="whole")
    learned = count_steps(monkeypatch)
    with pytest.raises(TrainingStopped):
        train(name="stopped", stop=stop_after(5))
    assert learned == [1, 2, 3, 4, 5]
    learned.clear()

    result = train(name="stopped", pick=picked(whole, 4))
    assert not learned
    assert (result.chosen_step, result.trained_steps, result.steps) == (4, 4, 7)
    assert [point.step for point in result.curve] == [0, 1, 2, 3, 4]
    assert all(outcome.passed for outcome in judge(result))

    resumed = train(name="stopped")
    assert learned == [6, 7], "from where it was stopped"
    assert resumed.resumed_from == 5
    assert hash_folder(tmp_path / "stopped" / "out") == hash_folder(tmp_path / "whole" / "out")
    assert not (tmp_path / "stopped" / "work").exists()


# --- what the file says ------------------------------------------------------------------------------------------


def test_the_header_tells_data_trigger_recipe_seed_and_versions(train: Train, dataset: Dataset, tmp_path: Path) -> None:
    director = Director(slug="nolan", name="Christopher Nolan", trigger="nolan style", stills_licence="drawn")
    job = make_job(dataset, RECIPE, tmp_path / "work")
    header = header_of(job, director)
    assert header["trigger"] == "nolan style"
    assert header["prompt_template"] == "nolan style, {prompt}"
    assert (header["recipe"], header["seed"], header["base_model"]) == ("tiny", "3", "mini")
    assert json.loads(header["recipe_spec"])["optimizer"]["lr"] == RECIPE.optimizer.lr
    assert header["training"] == job.identity.short
    fewer = Dataset(dataset.store, dataset.latents[1:], dataset.prompts)
    assert header_of(make_job(fewer, RECIPE, tmp_path), director)["data"] != header["data"], "the data's hash"
    seeded = header_of(make_job(dataset, varied(RECIPE, seed=4), tmp_path), director)
    assert seeded["data"] == header["data"], "of nothing but the data"
    assert seeded["training"] != header["training"]

    train()
    written = read_header(tmp_path / "run" / "out" / WEIGHTS)
    assert METADATA.items() <= written.items()
    assert json.loads(written["packages"]) == package_versions()
    assert written["chosen_by"] == "held-out loss"
