"""Trainings as a whole: what they leave behind, what they change, and what they refuse."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from diffusers import FluxPipeline
from safetensors import safe_open
from safetensors.torch import load_file

from director_diffusion.adapters.injection import adapter_parameters, inject_adapter
from director_diffusion.errors import TrainingError
from director_diffusion.families import get_family
from director_diffusion.hashing import hash_folder
from director_diffusion.processes import Flow
from director_diffusion.progress import Silent
from director_diffusion.stills.learned import decode_learned
from director_diffusion.storage.store import Store
from director_diffusion.tables import read_table
from director_diffusion.tensors import read_tensors
from director_diffusion.training.batches import TrainingBatches
from director_diffusion.training.checks import judge
from director_diffusion.training.data import load_dataset
from director_diffusion.training.finished import FinishedSteps
from director_diffusion.training.plots import curve_plot
from director_diffusion.training.rows import CurvePoint, TrainingResult
from director_diffusion.training.schedule import learning_rate
from director_diffusion.training.state import TrainingState
from director_diffusion.training.trainee import load_trainee
from tests.training.trainings import BASE, LINEARS, RECIPE, WIDE, Dataset, make_dataset, varied

Train = Callable[..., TrainingResult]
WEIGHTS = "pytorch_lora_weights.safetensors"


class Observations(Silent):
    """Keeps what is observed."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, dict[str, float]]] = []

    def observe(self, step: int, values: dict[str, float]) -> None:
        self.seen.append((step, values))


def make_state(folder: Path, accelerator: Accelerator, recipe: Any = RECIPE) -> TrainingState:
    trainee = load_trainee(BASE, recipe, folder, accelerator)
    torch.manual_seed(0)
    targets = trainee.family.target_modules(trainee.denoiser, recipe.adapter.targets)
    inject_adapter(trainee.denoiser, recipe.adapter, targets)
    return TrainingState(trainee, recipe, Silent())


def learn(state: TrainingState, dataset: Dataset, steps: int, recipe: Any = RECIPE) -> None:
    family = get_family("flux")
    data = load_dataset(dataset.latents, dataset.prompts, dataset.store, family)
    batches = TrainingBatches(data, recipe, Flow(lambda cells: 1.0))
    for step in range(steps):
        state.learn(list(batches.of_step(step)), batches.stills_of(step))


# --- what it leaves behind ---------------------------------------------------------------------------------------


def test_a_training_from_rows_to_files(train: Train, dataset: Dataset, tmp_path: Path, mini_base: Path) -> None:
    before = hash_folder(mini_base)
    observations = Observations()
    result = train(progress=observations)
    out = tmp_path / "run" / "out"
    assert sorted(path.name for path in out.iterdir()) == ["curve.parquet", "learned.json", WEIGHTS, "training.json"]
    learned = {row.still: row.split for row in dataset.latents if row.split in ("train", "validation")}
    assert decode_learned((out / "learned.json").read_bytes()) == {"adapter": learned}
    assert hash_folder(mini_base) == before

    assert [point.step for point in result.curve] == list(range(8))
    assert tuple(read_table(out / "curve.parquet", CurvePoint)) == result.curve
    rates = [learning_rate(step, RECIPE.schedule, steps=7, peak=RECIPE.optimizer.lr) for step in range(7)]
    assert [point.lr for point in result.curve] == [None, *rates]
    judged = {point.step: point.held_out_loss for point in result.curve if point.held_out_loss is not None}
    assert list(judged) == [0, 2, 4, 6, 7]  # the base, every second step, the last
    assert all(math.isfinite(point.loss) and point.grad_norm > 0 for point in result.curve[1:])  # type: ignore[arg-type, operator]

    assert result.chosen_step == min((step for step in judged if step), key=lambda step: judged[step])
    assert result.held_out_loss == judged[result.chosen_step] < judged[0] == result.base_held_out_loss
    assert (result.steps, result.train_stills, result.held_out_stills) == (7, 5, 2)
    assert result.adapted_linears == LINEARS
    weights = load_file(out / WEIGHTS)
    assert sum(tensor.numel() for tensor in weights.values()) == result.trainable_parameters
    assert len(weights) == 2 * result.adapted_linears
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    with safe_open(out / WEIGHTS, framework="pt") as file:
        assert file.metadata()["director"] == "nolan"

    facts = json.loads((out / "training.json").read_text())
    assert facts["chosen_step"] == result.chosen_step
    assert not facts.keys() & {"seconds", "resumed_from"}  # what passes must not enter the content's version
    assert [outcome.passed for outcome in judge(result)] == [True, True]
    assert {step for step, values in observations.seen if "held_out_loss" in values} == set(judged)
    assert any("loss" in values for _, values in observations.seen)
    assert curve_plot(result.curve, result.chosen_step, result.chosen_by).size[0] > 600


def test_users_of_diffusers_get_the_trained_adapter(train: Train, tmp_path: Path, mini_base: Path) -> None:
    """Rank 2 and alpha 6: lost alpha would be a third of the strength. The reference is B·A by hand."""
    result = train()
    out = tmp_path / "run" / "out"
    pipeline = FluxPipeline.from_pretrained(mini_base, local_files_only=True)
    plain = pipeline.transformer.transformer_blocks[0].ff.net[2]
    x = torch.randn(3, plain.in_features)
    weights = load_file(out / WEIGHTS)
    a, b = (weights[f"transformer.transformer_blocks.0.ff.net.2.lora_{letter}.weight"] for letter in "AB")
    expected = plain(x) + 6 / 2 * x @ a.T @ b.T
    pipeline.load_lora_weights(out)
    found = pipeline.transformer.transformer_blocks[0].ff.net[2](x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert result.reload.effect > 0


def test_the_best_checkpoint_becomes_the_adapter(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With held-out losses that rise after step 2, the file holds the average of step 2."""
    from director_diffusion.training import loop

    losses = iter([9.0, 3.0, 4.0, 5.0, 6.0])
    monkeypatch.setattr(loop, "held_out_loss", lambda *_: next(losses))
    result = train()
    assert (result.chosen_step, result.held_out_loss, result.base_held_out_loss) == (2, 3.0, 9.0)
    finished = FinishedSteps(Store(str(tmp_path / "run" / "store")), result.training)
    assert finished.steps() == [2, 4, 6, 7]
    assert not (tmp_path / "run" / "work").exists()
    average, written = finished.load(2).weights, load_file(tmp_path / "run" / "out" / WEIGHTS)
    assert {f"transformer.{name}" for name in average} == set(written)
    assert all(torch.equal(tensor, written[f"transformer.{name}"]) for name, tensor in average.items())
    assert judge(result)[0].passed


def test_the_same_training_twice_is_the_same_file(train: Train, tmp_path: Path) -> None:
    train(name="first")
    torch.manual_seed(99)  # whatever was drawn before
    train(name="second")
    train(varied(RECIPE, seed=4), name="other")
    hashes = [hash_folder(tmp_path / name / "out") for name in ("first", "second", "other")]
    assert hashes[0] == hashes[1] != hashes[2]


# --- what it changes ---------------------------------------------------------------------------------------------


def test_only_adapter_weights_change(mini_base: Path, dataset: Dataset) -> None:
    state = make_state(mini_base, Accelerator(cpu=True))
    before = {name: tensor.clone() for name, tensor in state.trainee.denoiser.state_dict().items()}
    learn(state, dataset, 2)
    after = state.trainee.denoiser.state_dict()
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed == set(adapter_parameters(state.trainee.denoiser))
    assert all(".lora_" in name for name in changed)
    assert len(changed) == 2 * LINEARS


def test_accumulation_gives_the_gradient_of_the_larger_batch(mini_base: Path, store: Store) -> None:
    dataset = make_dataset(store, [(f"s{i}", "train", WIDE) for i in range(4)] + [("h", "validation", WIDE)])
    norms, weights = [], []
    for batch_size, accumulation in ((4, 1), (2, 2), (1, 4)):
        recipe = varied(RECIPE, batch_size=batch_size, gradient_accumulation=accumulation)
        state = make_state(mini_base, Accelerator(cpu=True), recipe)
        learn(state, dataset, 2, recipe)
        state.curve.read()
        norms.append([point.grad_norm for point in state.curve.points])
        weights.append([parameter.detach() for parameter in state.parameters])
    for other in (1, 2):
        assert norms[other] == pytest.approx(norms[0], rel=1e-4)
        for expected, found in zip(weights[0], weights[other], strict=True):
            # AdamW divides tiny gradients by their own size, which magnifies rounding in a few of them.
            assert torch.isclose(found, expected, rtol=1e-3, atol=1e-4).float().mean() > 0.99


def test_the_average_is_over_adapter_weights_with_the_recipes_decay(mini_base: Path, dataset: Dataset) -> None:
    for decay in (0.0, 0.15):
        recipe = varied(RECIPE, ema_decay=decay)
        state = make_state(mini_base, Accelerator(cpu=True), recipe)
        data = load_dataset(dataset.latents, dataset.prompts, dataset.store, state.trainee.family)
        batches = TrainingBatches(data, recipe, Flow(lambda cells: 1.0))
        expected = [parameter.detach().clone() for parameter in state.parameters]
        for step in range(4):
            state.learn(list(batches.of_step(step)), batches.stills_of(step))
            kept = min(decay, (1 + step) / (10 + step)) if step else 0.0  # diffusers' own warm-up of the average
            expected = [kept * e + (1 - kept) * p.detach() for e, p in zip(expected, state.parameters, strict=True)]
        assert len(state.average.shadow_params) == 2 * LINEARS
        for average, value in zip(state.average.shadow_params, expected, strict=True):
            torch.testing.assert_close(average, value, rtol=1e-5, atol=1e-7)


def test_trainings_of_two_precisions_follow_each_other_in_one_process(train: Train, tmp_path: Path) -> None:
    """accelerate's state of the process is left as it was found."""
    shared = [state._shared_state for state in (PartialState, AcceleratorState, GradientState)]
    for state in shared:
        state.clear()
    half = train(varied(RECIPE, precision="bfloat16", steps=3), name="half")
    assert all(not state for state in shared)
    mine = Accelerator(cpu=True, mixed_precision="no")
    full = train(varied(RECIPE, steps=3), name="full")
    assert mine.state.mixed_precision == "no"
    assert PartialState._shared_state
    assert judge(half)[0].passed
    assert judge(full)[0].passed
    assert half.held_out_loss == pytest.approx(full.held_out_loss, rel=0.02)
    # Compute is half, the adapter's own weights are not.
    weights = load_file(tmp_path / "half" / "out" / WEIGHTS)
    assert any(not torch.equal(tensor, tensor.bfloat16().float()) for tensor in weights.values())


def test_recomputing_activations_changes_nothing(train: Train, tmp_path: Path) -> None:
    plain = train(varied(RECIPE, steps=3), name="plain")
    saving = train(varied(RECIPE, steps=3, activation_gib=0), name="saving")
    assert saving.held_out_loss == pytest.approx(plain.held_out_loss, rel=1e-5)
    assert [point.loss for point in saving.curve[1:]] == pytest.approx([p.loss for p in plain.curve[1:]], rel=1e-5)


def test_guidance_reaches_a_base_that_is_distilled_with_it(
    train: Train, mini_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from director_diffusion.families.flux import FluxFamily

    given = set()
    original = FluxFamily.predict

    def noting(self: FluxFamily, *args: Any) -> torch.Tensor:
        given.add(args[-1])
        return original(self, *args)

    monkeypatch.setattr(FluxFamily, "predict", noting)
    guided = BASE.model_copy(update={"guidance": BASE.guidance.model_copy(update={"train": 2.5})})
    train(varied(RECIPE, steps=3), base=guided)
    assert given == {2.5}


# --- what it refuses ---------------------------------------------------------------------------------------------


def poison(dataset: Dataset, still: str) -> None:
    """Put a NaN into a still's cached posterior."""
    import safetensors.torch

    (row,) = [row for row in dataset.latents if row.still == still]
    tensors = read_tensors(dataset.store, row.reference)
    tensors["mean"][0, 0, 0] = torch.nan
    dataset.store.write(row.reference, safetensors.torch.save(tensors))


def test_a_loss_that_is_not_finite_names_step_stills_and_last_good_checkpoint(train: Train, dataset: Dataset) -> None:
    recipe = varied(RECIPE, steps=12)
    data = load_dataset(dataset.latents, dataset.prompts, dataset.store, get_family("flux"))
    batches = TrainingBatches(data, recipe, Flow(lambda cells: 1.0))
    first = {step: next(batches.of_step(step)).stills for step in range(12)}
    step = next(step for step in range(12) if "tall0" in first[step])
    poison(dataset, "tall0")
    good = f"the last good checkpoint is of step {step // 2 * 2}" if step >= 2 else "no checkpoint yet"
    with pytest.raises(TrainingError) as caught:
        train(recipe)
    message = str(caught.value)
    assert message.startswith(f"step {step + 1} with the stills tall0, tall0: training loss or its gradient is not")
    assert good in message
    assert "Lower optimizer.lr" in message


def test_a_held_out_loss_that_is_not_finite_is_refused(train: Train, dataset: Dataset) -> None:
    poison(dataset, "wide9")
    with pytest.raises(TrainingError, match="step 0: held-out loss is not finite"):
        train()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(train: Train) -> None:
    for device in ("cuda", "cuda:1"):
        with pytest.raises(TrainingError, match=f"device {device}: is not there"):
            train(device=device)
