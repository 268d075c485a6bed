"""Rectified flow: the samplers of noise levels, against their formulas and diffusers' own."""

import math

import pytest
import torch
from diffusers.training_utils import compute_density_for_timestep_sampling
from pydantic import ValidationError

from director_diffusion.processes import Flow
from director_diffusion.processes.flow import interpolate, sigmas, velocity_target
from director_diffusion.specs import Objective, Timesteps

NORMAL = torch.randn(256, generator=torch.Generator().manual_seed(1))


def test_the_path_is_straight_and_its_velocity_constant() -> None:
    x0, noise = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    assert torch.equal(interpolate(x0, noise, torch.zeros(2)), x0)
    assert torch.equal(interpolate(x0, noise, torch.ones(2)), noise)
    t, dt = torch.tensor([0.2, 0.7]), 0.1
    moved = interpolate(x0, noise, t + dt) - interpolate(x0, noise, t)
    torch.testing.assert_close(moved / dt, velocity_target(x0, noise), rtol=1e-4, atol=1e-5)


def test_logit_normal_levels_are_diffusers_own() -> None:
    theirs = compute_density_for_timestep_sampling(
        "logit_normal", 256, logit_mean=0.3, logit_std=1.4, generator=torch.Generator().manual_seed(1)
    )
    torch.testing.assert_close(sigmas(NORMAL, Timesteps(mean=0.3, std=1.4, shift="none"), 3.0), theirs)


def test_the_shift_adds_its_logarithm_to_logits() -> None:
    """Which is how Esser et al. (2024, eq. 23) derive it; the base's own, or the spec's."""
    plain = torch.logit(sigmas(NORMAL, Timesteps(shift="none"), 3.0))
    for spec, factor in ((Timesteps(shift="resolution"), 3.0), (Timesteps(shift=1.5), 1.5)):
        moved = torch.logit(sigmas(NORMAL, spec, 3.0))
        torch.testing.assert_close(moved, plain + math.log(factor), rtol=1e-4, atol=1e-4)


def test_style_friendly_levels_are_normal_in_log_snr() -> None:
    """log SNR = 2 log((1 - sigma) / sigma) ~ N(mean, std²) (Choi et al. 2024, eq. 7), whatever the base shifts."""
    for spec, mean, std in (
        (Timesteps(kind="style_friendly"), -6.0, 2.0),
        (Timesteps(kind="style_friendly", shift="none"), -6.0, 2.0),
        (Timesteps(kind="style_friendly", mean=-4.0, std=1.0), -4.0, 1.0),
    ):
        sigma = sigmas(NORMAL.double(), spec, 3.0)
        torch.testing.assert_close(2 * ((1 - sigma) / sigma).log(), mean + std * NORMAL.double())


def test_a_factor_beside_a_told_log_snr_is_refused() -> None:
    with pytest.raises(ValidationError, match="kind style_friendly takes no factor for shift"):
        Timesteps(kind="style_friendly", shift=3.0)
    told = Timesteps(kind="style_friendly")
    assert Timesteps.model_validate_json(told.model_dump_json()) == told


def test_uniform_levels_are_alike() -> None:
    level = sigmas(torch.linspace(-8, 8, 1001), Timesteps(kind="uniform", shift="none"), 3.0)
    assert 0 < float(level.min()) < float(level.max()) < 1
    assert float(level[500]) == pytest.approx(0.5)
    many = sigmas(
        torch.randn(20_000, generator=torch.Generator().manual_seed(2)), Timesteps(kind="uniform", shift="none"), 3.0
    )
    assert (torch.histc(many, bins=10, min=0, max=1) / 2000 - 1).abs().max() < 0.1


def test_a_flow_asks_its_base_for_the_shift_of_a_size() -> None:
    process = Flow(lambda cells: float(cells[0]))
    torch.testing.assert_close(process.times(NORMAL, Timesteps(), (3, 8)), sigmas(NORMAL, Timesteps(), 3.0))
    assert process.at(0.35) == 0.35
    assert torch.equal(process.weights(NORMAL, Objective()), torch.ones(256))
