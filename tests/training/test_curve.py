"""Curve: losses that are broken are refused, wherever they show first; those that only scatter never are."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from director_diffusion.errors import TrainingError
from director_diffusion.progress import Silent
from director_diffusion.storage.store import Store
from director_diffusion.tensors import read_tensors
from director_diffusion.training.curve import READ_EVERY, Curve
from director_diffusion.training.rows import CurvePoint, TrainingResult
from tests.training.trainings import CHANNELS, RECIPE, STILLS, Dataset, make_dataset, varied

Train = Callable[..., TrainingResult]


def add(curve: Curve, step: int, loss: float, *, norm: float = 1.0, still: str = "a", trivial: float = 2.0) -> None:
    numbers = {"loss": torch.tensor(loss), "trivial": torch.tensor(trivial), "grad_norm": torch.tensor(norm)}
    curve.add(step, lr=0.1, stills=[still], **numbers)


def begun(losses: Iterable[float], *, trivial: float = 2.0) -> Curve:
    curve = Curve(Silent())
    curve.add_held_out(0, 1.0)
    for step, loss in enumerate(losses, start=1):
        add(curve, step, loss, trivial=trivial)
    return curve


@pytest.mark.parametrize("broken", [{"loss": math.nan}, {"loss": math.inf}, {"loss": 1.0, "norm": math.nan}])
def test_what_is_not_finite_names_its_step_and_stills_though_it_is_read_later(broken: dict[str, float]) -> None:
    curve = begun([1.0, 1.0])
    curve.read()
    curve.add_held_out(2, 0.9)
    add(curve, 3, **broken, still="the culprit")
    for step in range(4, READ_EVERY):
        add(curve, step, math.nan, still="an heir")
    with pytest.raises(TrainingError) as caught:
        add(curve, READ_EVERY, math.nan)
    message = str(caught.value)
    assert message.startswith("step 3 with the stills the culprit: training loss or its gradient is not finite")
    assert "the last good checkpoint is of step 2" in message


def test_an_explosion_is_a_mean_over_some_steps() -> None:
    begun([1.0] * 15 + [20.0] + [1.0] * 14).read()  # one step alone is none
    with pytest.raises(TrainingError, match=r"step 28 with the stills a: the training loss has exploded: 3.1 over 10"):
        begun([0.6] * 20 + [3.72] * 10).read()


def test_it_shows_though_the_first_steps_are_as_bad_already() -> None:
    with pytest.raises(TrainingError, match=r"step 10 .* exploded: 4 over 10 steps, .* zero would cost 2 "):
        begun([4.0] * 10)


def test_an_explosion_shows_in_the_held_out_loss_before_such_weights_are_kept() -> None:
    curve = begun([1.0, 1.0])
    curve.read()
    with pytest.raises(
        TrainingError, match=r"step 2 with the stills a: the held-out loss has exploded: 3\.5, 1 without"
    ):
        curve.add_held_out(2, 3.5)
    assert curve.points[-1].held_out_loss is None
    curve.add_held_out(2, 2.0)  # bad, but not broken


def test_a_resumed_training_is_still_compared_with_its_base() -> None:
    curve = Curve(Silent())
    curve.resume([CurvePoint(0, None, None, None, 1.0), *(CurvePoint(n, 0.1, 1.0, 1.0, None) for n in range(1, 41))])
    add(curve, 41, 1.0)
    curve.read()
    with pytest.raises(TrainingError, match=r"step 41 .* 1 without the adapter"):
        curve.add_held_out(41, 3.5)


@pytest.mark.parametrize("sampler", ["uniform", "style_friendly"])
def test_noise_levels_alone_never_look_like_an_explosion(sampler: str) -> None:
    """The hardest case: one sample a step, and an epsilon loss, of which high noise costs a hundredth of low noise.

    The losses are those of the best possible denoiser of Gaussian data of variance v, a² v / (a² v + s²), half as much
    again for one that is not the best; answering zero costs 1.
    """
    signal = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)  # a², of Stable Diffusion
    losses = 1.4 * signal * 0.2 / (signal * 0.2 + 1 - signal)
    assert losses.max() > 1.3 > 100 * losses.min()
    log_snr = np.log(signal / (1 - signal))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        if sampler == "uniform":
            times = rng.integers(0, 1000, 600)
        else:
            times = 999 - np.searchsorted(log_snr[::-1], rng.normal(-6, 2, 600)).clip(0, 999)
        curve = begun(losses[times].tolist(), trivial=1.0)
        assert len(curve.points) == 601


@pytest.fixture
def natural(store: Store) -> Dataset:
    """Stills that mini knows how to denoise: smooth latents of its own VAE's size of numbers."""
    dataset = make_dataset(store, STILLS)
    for number, row in enumerate(dataset.latents):
        tensors = read_tensors(store, row.reference)
        rng = torch.Generator().manual_seed(number)
        coarse = torch.randn(1, CHANNELS, 2, 2, generator=rng)
        mean = torch.nn.functional.interpolate(coarse, tensors["mean"].shape[1:], mode="bilinear")[0]
        store.write(row.reference, safetensors.torch.save({"mean": mean, "std": tensors["std"]}))
    return dataset


@pytest.mark.parametrize("checkpoint_every", [3, 40])
def test_a_learning_rate_that_explodes_stops_and_nothing_broken_is_kept(
    train: Train, natural: Dataset, tmp_path: Path, checkpoint_every: int
) -> None:
    """Seen at a checkpoint by the held-out loss, between two by the training loss."""
    recipe = varied(
        RECIPE,
        optimizer={"kind": "adamw", "lr": 1.0},
        steps=40,
        schedule={"kind": "constant"},
        checkpoint_every=checkpoint_every,
    )
    with pytest.raises(TrainingError) as caught:
        train(recipe, data=natural)
    message = str(caught.value)
    assert f"the {'held-out' if checkpoint_every == 3 else 'training'} loss has exploded" in message
    assert " with the stills " in message
    assert "no checkpoint yet" in message
    assert not list((tmp_path / "run").rglob("step-*"))
