"""AdamW with moments in 8 bits: a training goes on from its state to the same bytes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from director_diffusion.hashing import hash_folder
from director_diffusion.specs import AdamW8bit
from director_diffusion.training.optimizers import build_optimizer
from director_diffusion.training.rows import TrainingResult
from director_diffusion.training.stopping import TrainingStopped
from tests.training.children import stop_after
from tests.training.optimizing import assert_goes_on, learn, weights
from tests.training.trainings import RECIPE, varied

pytestmark = pytest.mark.quantised
SPEC = AdamW8bit(kind="adamw_8bit", lr=0.01)
EIGHT_BITS_FROM = 4096  # values in a weight; bitsandbytes keeps smaller ones' moments whole


def test_a_restored_optimizer_goes_on_to_the_same_bits() -> None:
    assert_goes_on(SPEC)


def test_moments_of_large_weights_are_kept_in_8_bits() -> None:
    parameters = weights()
    optimizer = build_optimizer(parameters, SPEC)
    learn(parameters, optimizer, range(2))
    states = [optimizer.state[parameter]["state1"] for parameter in parameters]
    found = [state.dtype == torch.uint8 for state in states]
    assert found == [parameter.numel() >= EIGHT_BITS_FROM for parameter in parameters]


def test_a_stopped_training_ends_in_the_same_bytes(train: Callable[..., TrainingResult], tmp_path: Path) -> None:
    """Of an adapter with weights on either side of that size."""
    adapter = {"kind": "lora", "rank": 32, "alpha": 32, "dropout": 0.2}
    recipe = varied(RECIPE, optimizer=SPEC.model_dump(), adapter=adapter, gradient_accumulation=2, steps=5)
    train(recipe, name="whole")
    with pytest.raises(TrainingStopped):
        train(recipe, name="stopped", stop=stop_after(3))
    assert train(recipe, name="stopped").resumed_from == 3
    assert hash_folder(tmp_path / "stopped" / "out") == hash_folder(tmp_path / "whole" / "out")
