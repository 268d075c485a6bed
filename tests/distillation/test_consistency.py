"""Latent consistency: golden against diffusers' schedulers, by which teachers step and students are drawn."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, LCMScheduler

from director_diffusion.distillation.consistency import boundary_scalings, distances, predicted_noise, solver_of
from director_diffusion.processes import Diffusion
from director_diffusion.specs import Timesteps

BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SHAPE = (4, 6, 8)
PREDICTIONS = ["epsilon", "v_prediction"]


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def diffusion(prediction: Any = "epsilon") -> Diffusion:
    return Diffusion(DDIMScheduler(**BETAS).alphas_cumprod, prediction)


def test_the_boundary_is_the_schedulers() -> None:
    t = torch.tensor([0, 1, 19, 259, 999])
    theirs = [LCMScheduler(**BETAS).get_scalings_for_boundary_condition_discrete(one) for one in t.tolist()]
    for ours, expected in zip(boundary_scalings(t.float()), zip(*theirs, strict=True), strict=True):
        torch.testing.assert_close(ours, torch.tensor(expected))
    assert [scaling[0].item() for scaling in boundary_scalings(t.float())] == [1, 0], "f(x, 0) = x"


@pytest.mark.parametrize("steps", [50, 100, 200, 250, 500])
@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_students_are_drawn_at_timesteps_that_they_learned_at(steps: int, count: int) -> None:
    scheduler = LCMScheduler(**BETAS, timestep_spacing="trailing")
    scheduler.set_timesteps(count)
    solver = solver_of(diffusion(), steps)
    visited = solver.times(randn(4000), Timesteps(), (6, 8))
    assert set(scheduler.timesteps.tolist()) <= set(solver.grid())
    assert set(visited.tolist()) <= set(solver.grid()) - {0}
    assert (visited.min(), visited.max(), scheduler.timesteps[0]) == (solver.skipped - 1, 999, 999)


def test_every_timestep_of_the_solver_comes_as_often() -> None:
    times = solver_of(diffusion(), 50).times(randn(50_000), Timesteps(), (6, 8))
    counts = torch.bincount(((times + 1) / 20).long())[1:]
    assert len(counts) == 50
    assert (counts - 1000).abs().max() < 150  # nearly five standard deviations


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("steps", [50, 100])
def test_the_solver_steps_as_diffusers_ddim_does(prediction: str, steps: int) -> None:
    scheduler = DDIMScheduler(
        **BETAS, prediction_type=prediction, timestep_spacing="trailing", set_alpha_to_one=False, clip_sample=False
    )
    scheduler.set_timesteps(steps)
    solver = solver_of(diffusion(prediction), steps)
    assert scheduler.timesteps.tolist() == solver.grid()[:-1]
    x = theirs = randn(2, *SHAPE)
    for n, t in enumerate(scheduler.timesteps):
        predicted = randn(2, *SHAPE, seed=n)
        times = t.expand(2).float()
        x, below = solver.step(predicted, x, times), solver.below(times)
        theirs = scheduler.step(predicted, int(t), theirs).prev_sample
        assert below.tolist() == [solver.grid()[n + 1]] * 2
        torch.testing.assert_close(x, theirs, rtol=1e-4, atol=1e-4)


def test_samples_of_one_batch_step_each_from_its_own_timestep() -> None:
    solver, x, predicted = solver_of(diffusion(), 50), randn(2, *SHAPE), randn(2, *SHAPE, seed=1)
    t = torch.tensor([999.0, 19.0])
    together = solver.step(predicted, x, t)
    for row in range(2):
        alone = solver.step(predicted[row : row + 1], x[row : row + 1], t[row : row + 1])
        torch.testing.assert_close(together[row], alone[0])


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("count", [1, 4])
def test_a_students_steps_are_the_lcm_schedulers(prediction: str, count: int) -> None:
    scheduler = LCMScheduler(**BETAS, prediction_type=prediction, timestep_spacing="trailing")
    scheduler.set_timesteps(count)
    solver = solver_of(diffusion(prediction), 50)
    x = randn(2, *SHAPE)
    timesteps = scheduler.timesteps.tolist()
    for n, t in enumerate(timesteps):
        predicted = randn(2, *SHAPE, seed=n)
        drawn = scheduler.step(predicted, t, x, generator=torch.Generator().manual_seed(n))
        ours = solver.consistent(predicted, x, torch.full((2,), float(t)))
        torch.testing.assert_close(ours, drawn.denoised, rtol=1e-4, atol=1e-4)
        if n + 1 < count:
            ours = solver.noisy(ours, randn(2, *SHAPE, seed=n), torch.full((2,), float(timesteps[n + 1])))
        torch.testing.assert_close(ours, drawn.prev_sample, rtol=1e-4, atol=1e-4)
        x = drawn.prev_sample


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_right_prediction_gives_back_picture_and_noise(prediction: str) -> None:
    solver = solver_of(diffusion(prediction), 50)
    x0, noise, t = randn(3, *SHAPE), randn(3, *SHAPE, seed=1), torch.tensor([19.0, 499.0, 999.0])
    x_t, right = solver.noisy(x0, noise, t), solver.target(x0, noise, t)
    torch.testing.assert_close(solver.consistent(right, x_t, t), x0, rtol=1e-3, atol=1e-3)
    told = predicted_noise(right, x_t, solver.alpha_bar[t.long()], solver.prediction)
    torch.testing.assert_close(told, noise, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        solver.step(right, x_t, t), solver.noisy(x0, noise, solver.below(t)), rtol=1e-3, atol=1e-3
    )


def test_distances_are_those_of_diffusers_script() -> None:
    model_pred, target, huber_c = randn(2, *SHAPE), randn(2, *SHAPE, seed=1), 0.001
    # train_lcm_distill_lora_sd_wds.py, "10. Calculate loss"
    l2 = torch.nn.functional.mse_loss(model_pred.float(), target.float(), reduction="mean")
    huber = torch.mean(torch.sqrt((model_pred.float() - target.float()) ** 2 + huber_c**2) - huber_c)
    torch.testing.assert_close(distances(model_pred, target, None).mean(), l2)
    torch.testing.assert_close(distances(model_pred, target, huber_c).mean(), huber)
