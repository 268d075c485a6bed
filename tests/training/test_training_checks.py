"""The check that an adapter's file is what was trained: it must be able to fail."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from director_diffusion.adapters.files import load_adapter
from director_diffusion.families import get_family
from director_diffusion.training.checks import judge_reload
from director_diffusion.training.data import load_dataset
from director_diffusion.training.held_out import held_out_batches
from director_diffusion.training.reload import measure_reload
from director_diffusion.training.rows import Reload, TrainingResult
from director_diffusion.training.trainee import load_trainee
from tests.training.trainings import BASE, RECIPE, Dataset

WEIGHTS = "pytorch_lora_weights.safetensors"


@pytest.fixture
def measure(
    train: Callable[..., TrainingResult], dataset: Dataset, mini_base: Path, tmp_path: Path
) -> Callable[[Path], Reload]:
    """Measure a file against the adapter of a training."""
    train()
    data = load_dataset(dataset.latents, dataset.prompts, dataset.store, get_family("flux"))
    accelerator = Accelerator(cpu=True)
    trained = load_trainee(BASE, RECIPE, mini_base, accelerator)
    batch = held_out_batches(data.held_out, RECIPE.held_out, trained.process, 2)[0]
    load_adapter(trained.denoiser, tmp_path / "run" / "out" / WEIGHTS)
    with torch.no_grad():
        prediction = trained.predict(batch)

    def run(path: Path) -> Reload:
        return measure_reload(load_trainee(BASE, RECIPE, mini_base, accelerator), batch, path, prediction)

    return run


def test_the_file_passes_and_its_damaged_copies_fail(measure: Callable[[Path], Reload], tmp_path: Path) -> None:
    path = tmp_path / "run" / "out" / WEIGHTS
    good = judge_reload(measure(path))
    assert good.passed
    assert good.blocking

    weights = load_file(path)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    lora = json.loads(header["lora_adapter_metadata"])

    def copy(name: str, changed: dict[str, torch.Tensor], **config: object) -> Path:
        text = json.dumps({**lora, **config})
        save_file(changed, tmp_path / name, metadata={**header, "lora_adapter_metadata": text})
        return tmp_path / name

    wrong = {
        "another strength": copy("alpha.safetensors", weights, **{"transformer.lora_alpha": 5.0}),
        "a layer lost": copy(
            "layer.safetensors", {k: v for k, v in weights.items() if "transformer_blocks.0.ff." not in k}
        ),
        "another training": copy("other.safetensors", {k: v + 0.01 for k, v in weights.items()}),
    }
    for what, file_of_it in wrong.items():
        outcome = judge_reload(measure(file_of_it))
        assert not outcome.passed, what


def test_an_adapter_that_changes_nothing_fails() -> None:
    outcome = judge_reload(Reload(base=1.0, effect=0.0, difference=0.0))
    assert not outcome.passed
    assert outcome.description == "The adapter changes nothing in the base's prediction."


def test_predictions_that_are_not_finite_fail() -> None:
    outcome = judge_reload(Reload(base=1.0, effect=float("nan"), difference=float("nan")))
    assert not outcome.passed
    json.dumps(outcome.metadata, allow_nan=False)
