"""Starting from an adapter: more steps for weights that are there already."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from director_diffusion.errors import TrainingError
from director_diffusion.training.rows import TrainingResult
from tests.training.trainings import RECIPE, Dataset, make_job, varied

Train = Callable[..., TrainingResult]
WEIGHTS = "pytorch_lora_weights.safetensors"
MORE = varied(RECIPE, init_from="first", steps=3, optimizer={"kind": "adamw", "lr": 1e-9, "weight_decay": 0.0})


@pytest.fixture
def first(train: Train, tmp_path: Path) -> Path:
    """A trained adapter's file."""
    train(name="first")
    return tmp_path / "first" / "out" / WEIGHTS


def test_it_begins_with_the_adapters_weights_and_goes_on_from_there(train: Train, first: Path, tmp_path: Path) -> None:
    plain = train(name="plain")
    still = train(MORE, name="still", init=first)
    start, end = load_file(first), load_file(tmp_path / "still" / "out" / WEIGHTS)
    assert start.keys() == end.keys()
    for name, tensor in start.items():
        torch.testing.assert_close(end[name], tensor, atol=1e-7, rtol=0)  # three steps of about 1e-9
    # "Step 0" is judged as the adapter's file is.
    assert still.base_held_out_loss == pytest.approx(plain.held_out_loss, rel=1e-5)
    further = train(varied(RECIPE, init_from="first"), name="further", init=first)
    assert further.curve[1].loss == pytest.approx(still.curve[1].loss, rel=1e-6)
    assert further.base_held_out_loss == pytest.approx(plain.held_out_loss, rel=1e-5)


def test_another_start_is_another_training(first: Path, dataset: Dataset, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(first.read_bytes() + b"\0")
    trainings = [make_job(dataset, MORE, tmp_path, init=path).identity for path in (None, first, other)]
    assert len({identity.short for identity in trainings}) == 3
    assert trainings[1].differences(trainings[2].parts)[0].startswith("init was ")


def test_weights_that_do_not_fit_are_refused(train: Train, first: Path) -> None:
    wider = varied(MORE, adapter={"kind": "lora", "rank": 3, "alpha": 6})
    with pytest.raises(TrainingError, match="cannot start from the adapter of first: its weights are not of this adap"):
        train(wider, name="wider", init=first)
