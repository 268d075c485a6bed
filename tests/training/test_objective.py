"""The objective and the schedule: against the formulas, and against diffusers' own training script."""

import math
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, FluxPipeline
from diffusers.training_utils import compute_loss_weighting_for_sd3
from torch import Tensor

from director_diffusion.adapters.injection import adapter_parameters, inject_adapter
from director_diffusion.families import get_family
from director_diffusion.processes.base import squared_errors
from director_diffusion.specs import LoraAdapter, Objective, Schedule
from director_diffusion.training.data import Batch
from director_diffusion.training.schedule import learning_rate
from director_diffusion.training.trainee import Trainee
from tests.training.trainings import LINEARS

# --- objective ---------------------------------------------------------------------------------------------------


def test_each_sample_has_its_own_loss() -> None:
    losses = squared_errors(torch.tensor([[1.0, 1.0], [3.0, 0.0]]), torch.zeros(2, 2))
    assert losses.tolist() == [1.0, 4.5]


def diffusers_script_loss(
    transformer: torch.nn.Module,
    folder: Path,
    latents: Tensor,
    noise: Tensor,
    sigmas: Tensor,
    prompt: dict[str, Tensor],
) -> Tensor:
    """The lines of diffusers' examples/dreambooth/train_dreambooth_lora_flux.py between its latents and its loss."""
    config = AutoencoderKL.load_config(folder / "vae")
    vae_scale_factor = 2 ** (len(config["block_out_channels"]) - 1)
    model_input = (latents - config["shift_factor"]) * config["scaling_factor"]
    latent_image_ids = FluxPipeline._prepare_latent_image_ids(
        model_input.shape[0], model_input.shape[2] // 2, model_input.shape[3] // 2, model_input.device, torch.float32
    )
    timesteps = sigmas.flatten() * 1000
    noisy_model_input = (1.0 - sigmas) * model_input + sigmas * noise
    packed_noisy_model_input = FluxPipeline._pack_latents(
        noisy_model_input,
        batch_size=model_input.shape[0],
        num_channels_latents=model_input.shape[1],
        height=model_input.shape[2],
        width=model_input.shape[3],
    )
    model_pred = transformer(
        hidden_states=packed_noisy_model_input,
        timestep=timesteps / 1000,
        guidance=None,
        pooled_projections=prompt["pooled_prompt_embeds"],
        encoder_hidden_states=prompt["prompt_embeds"],
        txt_ids=torch.zeros(prompt["prompt_embeds"].shape[1], 3),
        img_ids=latent_image_ids,
        return_dict=False,
    )[0]
    model_pred = FluxPipeline._unpack_latents(
        model_pred,
        height=model_input.shape[2] * vae_scale_factor,
        width=model_input.shape[3] * vae_scale_factor,
        vae_scale_factor=vae_scale_factor,
    )
    weighting = compute_loss_weighting_for_sd3(weighting_scheme="none", sigmas=sigmas)
    target = noise - model_input
    loss = torch.mean(
        (weighting.float() * (model_pred.float() - target.float()) ** 2).reshape(target.shape[0], -1),
        1,
    )
    return loss.mean()


def test_loss_and_gradients_equal_diffusers_training_script(mini_base: Path) -> None:
    torch.manual_seed(0)
    family = get_family("flux")
    denoiser = family.load_denoiser(mini_base, device="cpu", dtype=torch.float32)
    targets = family.target_modules(denoiser, "all_block_linears")
    inject_adapter(denoiser, LoraAdapter(kind="lora", rank=2, alpha=4), targets)
    parameters = adapter_parameters(denoiser)
    for parameter in parameters.values():
        torch.nn.init.normal_(parameter, std=0.1)
    prompt = {"prompt_embeds": torch.randn(2, 6, 96), "pooled_prompt_embeds": torch.randn(2, 64)}
    latents, noise, sigma = torch.randn(2, 8, 6, 8), torch.randn(2, 8, 6, 8), torch.tensor([0.25, 0.8])

    theirs = diffusers_script_loss(denoiser, mini_base, latents, noise, sigma.view(2, 1, 1, 1), prompt)
    expected = torch.autograd.grad(theirs, list(parameters.values()))
    trainee = Trainee(
        denoiser=denoiser,
        family=family,
        process=family.process(mini_base),
        scale=family.latent_scale(mini_base),
        objective=Objective(),
        guidance=1.0,
        accelerator=Accelerator(cpu=True),
    )
    ours = trainee.losses(Batch(("a", "b"), latents, noise, sigma, prompt)).mean()
    found = torch.autograd.grad(ours, list(parameters.values()))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    assert len(found) == 2 * LINEARS
    for name, ours_, theirs_ in zip(parameters, found, expected, strict=True):
        torch.testing.assert_close(ours_, theirs_, rtol=1e-4, atol=1e-7, msg=name)


# --- schedule ----------------------------------------------------------------------------------------------------


def rates(spec: Schedule, steps: int) -> list[float]:
    return [learning_rate(step, spec, steps=steps, peak=2.0) for step in range(steps)]


def test_constant_with_warmup() -> None:
    assert rates(Schedule(kind="constant", warmup_steps=4), 7) == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0]


def test_cosine_with_warmup() -> None:
    found = rates(Schedule(kind="cosine", warmup_steps=2), 8)
    expected = [1.0, 2.0, *(1 + math.cos(math.pi * i / 6) for i in range(6))]
    assert found == pytest.approx(expected)
    assert min(found) > 0  # every step counts
    assert found[2:] == sorted(found[2:], reverse=True)


def test_cosine_without_warmup_starts_at_its_peak() -> None:
    assert rates(Schedule(kind="cosine"), 4)[0] == 2.0
