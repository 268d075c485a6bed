"""Diffusion by timesteps: equal to diffusers' scheduler and to its training scripts' min-SNR."""

import math
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from director_diffusion.processes import Diffusion
from director_diffusion.processes.diffusion import signal_to_noise
from director_diffusion.specs import Objective, Timesteps

T = 1000
CELLS = (8, 8)
STEPS = torch.tensor([0, 7, 250, 500, 998, 999])


@pytest.fixture(params=["scaled_linear", "linear", "zero terminal SNR"])
def scheduler(request: pytest.FixtureRequest) -> DDPMScheduler:
    zero = request.param == "zero terminal SNR"
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear" if zero else request.param,
        rescale_betas_zero_snr=zero,
    )


def process_of(scheduler: DDPMScheduler, prediction: Any = "epsilon") -> Diffusion:
    return Diffusion(scheduler.alphas_cumprod, prediction)


def test_noise_is_added_as_the_scheduler_adds_it(scheduler: DDPMScheduler) -> None:
    x0, noise = torch.randn(2, len(STEPS), 4, 3, 5)
    ours = process_of(scheduler).noisy(x0, noise, STEPS.float())
    torch.testing.assert_close(ours, scheduler.add_noise(x0, noise, STEPS))


def test_targets_are_the_schedulers(scheduler: DDPMScheduler) -> None:
    x0, noise = torch.randn(2, len(STEPS), 4, 3, 5)
    assert torch.equal(process_of(scheduler).target(x0, noise, STEPS.float()), noise)
    v = process_of(scheduler, "v_prediction").target(x0, noise, STEPS.float())
    torch.testing.assert_close(v, scheduler.get_velocity(x0, noise, STEPS))


def test_signal_to_noise_is_diffusers_own(scheduler: DDPMScheduler) -> None:
    ours = signal_to_noise(scheduler.alphas_cumprod[STEPS])
    torch.testing.assert_close(ours, compute_snr(scheduler, STEPS), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("gamma", [1.0, 5.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_weights_are_those_of_diffusers_scripts(prediction: str, gamma: float) -> None:
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    snr = compute_snr(scheduler, STEPS)
    mse_loss_weights = torch.stack([snr, gamma * torch.ones_like(STEPS)], dim=1).min(dim=1)[0]
    mse_loss_weights = mse_loss_weights / (snr if prediction == "epsilon" else snr + 1)
    process = process_of(scheduler, prediction)
    ours = process.weights(STEPS.float(), Objective(min_snr_gamma=gamma))
    torch.testing.assert_close(ours, mse_loss_weights, rtol=1e-4, atol=1e-9)
    assert torch.equal(process.weights(STEPS.float(), Objective()), torch.ones(len(STEPS)))


def test_weights_are_finite_where_nothing_of_the_image_is_left() -> None:
    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True
    )
    weights = process_of(scheduler, "v_prediction").weights(torch.tensor([999.0]), Objective(min_snr_gamma=5))
    assert weights.tolist() == pytest.approx([0.0], abs=1e-6)


# --- which times are visited -------------------------------------------------------------------------------------


def times(scheduler: DDPMScheduler, **spec: Any) -> torch.Tensor:
    normal = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    found = process_of(scheduler).times(normal, Timesteps(**spec), CELLS)
    assert found.min() >= 0
    assert found.max() <= T - 1
    assert torch.equal(found, found.round())
    return found


def test_uniform_times_are_every_timestep_alike(scheduler: DDPMScheduler) -> None:
    counts = torch.histc(times(scheduler, kind="uniform"), bins=10, min=0, max=T)
    assert (counts / 2000 - 1).abs().max() < 0.1
    assert torch.equal(times(scheduler, kind="uniform"), times(scheduler, kind="uniform", shift="none"))


def test_a_shift_moves_uniform_times_towards_noise(scheduler: DDPMScheduler) -> None:
    plain, moved = times(scheduler, kind="uniform"), times(scheduler, kind="uniform", shift=3.0)
    level = (plain + 0.5) / T
    expected = 3 * level / (1 + 2 * level) * T
    assert (moved - expected).abs().max() <= 3


def test_logit_normal_times_have_their_median_where_the_mean_says(scheduler: DDPMScheduler) -> None:
    found = times(scheduler, kind="logit_normal", mean=1.0, std=0.5, shift="none")
    assert float(found.median()) == pytest.approx(T * 1 / (1 + math.exp(-1)), abs=5)


def test_style_friendly_times_are_normal_in_log_snr() -> None:
    """log SNR ~ N(-6, 2²) (Choi et al. 2024), as far as the schedule reaches: its own ends at -5.4."""
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    log_snr = compute_snr(scheduler, torch.arange(T)).log()
    normal = torch.tensor([-2.0, 0.0, 0.5, 1.0, 2.0])
    found = process_of(scheduler).times(normal, Timesteps(kind="style_friendly"), CELLS)
    wanted = (-6 + 2 * normal).clamp(min=float(log_snr[-1]))
    torch.testing.assert_close(log_snr[found.long()], wanted, rtol=0, atol=0.01)
    assert process_of(scheduler).times(normal[:1], Timesteps(kind="style_friendly"), CELLS).tolist() == [T - 1]


def test_shares_are_told_in_timesteps(scheduler: DDPMScheduler) -> None:
    process = process_of(scheduler)
    assert [process.at(share) for share in (0.0, 0.25, 1.0)] == [0.0, 250.0, 999.0]
