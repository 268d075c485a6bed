"""The UNets: loss and gradients equal diffusers' own training scripts, and presets reach the real models' linears."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, DiffusionPipeline
from diffusers.training_utils import compute_snr
from torch import Tensor, nn

from director_diffusion.adapters.injection import adapter_parameters, inject_adapter
from director_diffusion.errors import ModelError
from director_diffusion.families import get_family
from director_diffusion.families.base import Placement
from director_diffusion.processes.base import squared_errors
from director_diffusion.specs import LoraAdapter, Objective
from tests.families.unets import CHANNELS, FACTOR, TEXT_WIDTH, real_unet, save_base

# --- targets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "attention", "transformers"), [("sdxl", 560, 70), ("sd15", 128, 16)])
def test_presets_reach_the_linears_of_the_real_models(name: str, attention: int, transformers: int) -> None:
    unet = real_unet(name)
    found = get_family(name).target_modules(unet, "attention")
    assert len(found) == len(set(found)) == attention
    assert {part.split(".")[-1] for part in found} == {"to_q", "to_k", "to_v", "0"}
    everything = get_family(name).target_modules(unet, "all_block_linears")
    in_blocks = {
        part for part, module in unet.named_modules() if isinstance(module, nn.Linear) and ".attentions." in part
    }
    assert set(everything) == in_blocks
    projections = {part for part in everything if "proj_in" in part or "proj_out" in part}
    assert len(everything) == attention + 2 * transformers + len(projections)
    assert bool(projections) == (name == "sdxl")
    with pytest.raises(ModelError, match="Choose one of attention, all_block_linears"):
        get_family(name).target_modules(unet, "late_single_blocks")


# --- the scale of latents ----------------------------------------------------------------------------------------


def test_a_vae_that_tells_no_scale_has_diffusers_own(tmp_path: Path) -> None:
    """As Stable Diffusion 1.x's of 2022."""
    folder = save_base(tmp_path / "base", "sd15")
    path = folder / "vae/config.json"
    config = json.loads(path.read_text())
    del config["scaling_factor"]
    path.write_text(json.dumps(config))
    assert get_family("sd15").latent_scale(folder).scale == AutoencoderKL.from_config(config).config.scaling_factor


# --- the objective -----------------------------------------------------------------------------------------------

PLACEMENTS = (
    Placement(width=24, height=16, original_width=1920, original_height=817, left=3, top=0),
    Placement(width=24, height=16, original_width=640, original_height=480, left=0, top=5),
)


def sdxl_script_prediction(unet: nn.Module, noisy: Tensor, timesteps: Tensor, prompt: dict[str, Tensor]) -> Tensor:
    """The lines of diffusers' examples/text_to_image/train_text_to_image_lora_sdxl.py between noise and prediction."""

    def compute_time_ids(
        original_size: tuple[int, int], crops_coords_top_left: tuple[int, int], target_size: tuple[int, int]
    ) -> Tensor:
        add_time_ids = list(original_size + crops_coords_top_left + target_size)
        return torch.tensor([add_time_ids])

    add_time_ids = torch.cat(
        [
            compute_time_ids((p.original_height, p.original_width), (p.top, p.left), (p.height, p.width))
            for p in PLACEMENTS
        ]
    )
    unet_added_conditions = {"time_ids": add_time_ids}
    unet_added_conditions.update({"text_embeds": prompt["pooled_prompt_embeds"]})
    model_pred: Tensor = unet(
        noisy, timesteps, prompt["prompt_embeds"], added_cond_kwargs=unet_added_conditions, return_dict=False
    )[0]
    return model_pred


def sd15_script_prediction(unet: nn.Module, noisy: Tensor, timesteps: Tensor, prompt: dict[str, Tensor]) -> Tensor:
    """The same of train_text_to_image_lora.py."""
    model_pred: Tensor = unet(noisy, timesteps, prompt["prompt_embeds"], return_dict=False)[0]
    return model_pred


def script_loss(
    name: str,
    unet: nn.Module,
    noise_scheduler: DDPMScheduler,
    scaling_factor: float,
    latents: Tensor,
    noise: Tensor,
    timesteps: Tensor,
    prompt: dict[str, Tensor],
    snr_gamma: float | None,
) -> Tensor:
    """The lines of both scripts between latents and loss, which are the same but for the prediction."""
    model_input = latents * scaling_factor
    noisy_model_input = noise_scheduler.add_noise(model_input, noise, timesteps)
    predict = sdxl_script_prediction if name == "sdxl" else sd15_script_prediction
    model_pred = predict(unet, noisy_model_input, timesteps, prompt)
    if noise_scheduler.config.prediction_type == "epsilon":
        target = noise
    elif noise_scheduler.config.prediction_type == "v_prediction":
        target = noise_scheduler.get_velocity(model_input, noise, timesteps)
    if snr_gamma is None:
        return F.mse_loss(model_pred.float(), target.float(), reduction="mean")
    snr = compute_snr(noise_scheduler, timesteps)
    mse_loss_weights = torch.stack([snr, snr_gamma * torch.ones_like(timesteps)], dim=1).min(dim=1)[0]
    if noise_scheduler.config.prediction_type == "epsilon":
        mse_loss_weights = mse_loss_weights / snr
    elif noise_scheduler.config.prediction_type == "v_prediction":
        mse_loss_weights = mse_loss_weights / (snr + 1)
    loss = F.mse_loss(model_pred.float(), target.float(), reduction="none")
    loss = loss.mean(dim=list(range(1, len(loss.shape)))) * mse_loss_weights
    return loss.mean()


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def prediction(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("gamma", [None, 5.0])
@pytest.mark.parametrize("name", ["sdxl", "sd15"])
def test_loss_and_gradients_equal_diffusers_training_scripts(
    name: Any, gamma: float | None, prediction: str, tmp_path: Path
) -> None:
    folder = save_base(tmp_path / "base", name, prediction_type=prediction)
    family, seeds = get_family(name), torch.Generator().manual_seed(0)
    denoiser = family.load_denoiser(folder, device="cpu", dtype=torch.float32)
    targets = family.target_modules(denoiser, "all_block_linears")
    inject_adapter(denoiser, LoraAdapter(kind="lora", rank=2, alpha=4), targets)  # type: ignore[arg-type]
    parameters = adapter_parameters(denoiser)  # type: ignore[arg-type]
    for parameter in parameters.values():
        nn.init.normal_(parameter, std=0.1, generator=seeds)
    width = 2 * TEXT_WIDTH if name == "sdxl" else TEXT_WIDTH
    prompt = {"prompt_embeds": torch.randn(2, 77, width, generator=seeds)}
    if name == "sdxl":
        prompt["pooled_prompt_embeds"] = torch.randn(2, TEXT_WIDTH, generator=seeds)
    latents, noise = torch.randn(2, 2, CHANNELS, 16 // FACTOR, 24 // FACTOR, generator=seeds)
    timesteps = torch.tensor([40, 820])

    scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
    theirs = script_loss(name, denoiser, scheduler, 0.8, latents, noise, timesteps, prompt, gamma)
    expected = torch.autograd.grad(theirs, list(parameters.values()))

    process, t, x0 = family.process(folder), timesteps.float(), family.latent_scale(folder).normalise(latents)
    sizes = [family.size_conditions(placement) for placement in PLACEMENTS]
    conditions = {**prompt, **{key: torch.stack([size[key] for size in sizes]) for key in sizes[0]}}
    predicted = family.predict(denoiser, process.noisy(x0, noise, t), t, conditions, 1.0)
    errors = squared_errors(predicted, process.target(x0, noise, t))
    ours = (process.weights(t, Objective(min_snr_gamma=gamma)) * errors).mean()
    found = torch.autograd.grad(ours, list(parameters.values()))

    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)
    assert len(found) == 2 * len(targets)
    for key, ours_, theirs_ in zip(parameters, found, expected, strict=True):
        torch.testing.assert_close(ours_, theirs_, rtol=1e-4, atol=1e-6, msg=key)


@torch.no_grad()
def test_the_unet_is_given_in_training_what_the_pipeline_gives_it(unet_base: tuple[str, Path]) -> None:
    name, folder = unet_base
    family = get_family(name)
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    seen: list[tuple[tuple[Any, ...], dict[str, Any], Tensor]] = []
    pipeline.unet.register_forward_hook(
        lambda module, args, kwargs, output: seen.append((args, kwargs, output[0])), with_kwargs=True
    )
    pipeline(
        "a red car", width=24, height=16, num_inference_steps=2, guidance_scale=1.0, output_type="latent",
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    (noisy, t), kwargs, predicted = seen[0]
    encoder = family.load_prompt_encoder(folder, device="cpu", dtype=torch.float32, max_tokens=77)
    (embedded,) = encoder.encode(["a red car"])
    sizes = family.size_conditions(Placement(24, 16, 24, 16, 0, 0))
    conditions = {key: value[None] for key, value in {**embedded, **sizes}.items()}
    ours = family.predict(pipeline.unet, noisy, t.expand(1), conditions, 1.0)
    for key, value in (kwargs["added_cond_kwargs"] or {}).items():
        torch.testing.assert_close(seen[-1][1]["added_cond_kwargs"][key], value)
    torch.testing.assert_close(ours, predicted, rtol=1e-4, atol=1e-5)
