"""Denoising with a UNet: what may be adapted in it, its process, and what it predicts.

Belongs here: loading, presets of targets, latents' scale, the scheduler's noise.  The process itself is
`director_diffusion.processes`', the loop `director_diffusion.training`'s.
"""

from pathlib import Path
from typing import Literal, cast

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from director_diffusion.errors import ModelError
from director_diffusion.families.attention import plain_products_of_few
from director_diffusion.families.base import Conditions, LatentScale, Placement
from director_diffusion.families.folders import read_json
from director_diffusion.families.loading import load_frozen
from director_diffusion.families.targets import matching_linears
from director_diffusion.processes import Diffusion

_ATTENTION = ("*.transformer_blocks.*.attn?.to_*",)
_FEED_FORWARD = ("*.transformer_blocks.*.ff.*",)
_SCALE = 0.18215  # diffusers' own, where a VAE's configuration tells none, as those of 2022 (Rombach et al. 2022)
_PROJECTIONS = ("*.attentions.*.proj_in", "*.attentions.*.proj_out")  # SDXL's; SD 1.5's are convolutions


def load_denoiser(
    folder: Path, *, device: str, dtype: torch.dtype, quantised: Literal["nf4"] | None = None
) -> UNet2DConditionModel:
    """The UNet, frozen."""
    return load_frozen(UNet2DConditionModel, folder / "unet", device=device, dtype=dtype, quantised=quantised)


def target_modules(denoiser: nn.Module, preset: str) -> list[str]:
    """Full names of the linears that a preset adapts, in the model's order.

    `attention` are queries, keys, values and outputs (560 linears in SDXL, 128 in SD 1.5); `all_block_linears` are all
    of the transformers', with what leads into and out of them.  Those of residual blocks and times are in neither.
    """
    linear = cast(UNet2DConditionModel, denoiser).config.use_linear_projection
    everything = (*_ATTENTION, *_FEED_FORWARD, *(_PROJECTIONS if linear else ()))
    return matching_linears(denoiser, {"attention": _ATTENTION, "all_block_linears": everything}, preset)


def latent_scale(folder: Path) -> LatentScale:
    """The VAE's own constant.  Raises ModelError for a VAE whose latents are moved too: pipelines would not undo it."""
    config = read_json(folder, "vae/config.json")
    for name in ("shift_factor", "latents_mean", "latents_std"):
        if config.get(name):
            raise ModelError(
                str(folder), f"has a VAE with {name}, which this family does not use", "Give a base with its own VAE."
            )
    return LatentScale(0.0, config.get("scaling_factor", _SCALE))


def process(folder: Path) -> Diffusion:
    """Diffusion by the base's scheduler, whatever steps that one draws with."""
    return process_of(DDPMScheduler.from_pretrained(folder / "scheduler", local_files_only=True), str(folder))


def process_of(scheduler: DDPMScheduler, name: str) -> Diffusion:
    """Diffusion by a scheduler.  `name` is what errors call the base."""
    prediction = scheduler.config.prediction_type
    if prediction not in ("epsilon", "v_prediction"):
        raise ModelError(
            name, f"predicts {prediction}, which cannot be trained here", "Give a base that predicts epsilon or v."
        )
    return Diffusion(scheduler.alphas_cumprod.float(), prediction)


def time_ids(placement: Placement) -> Tensor:
    """What SDXL is told of sizes (Podell et al. 2023, section 2.2), (6,), float32: pixels, heights before widths."""
    original, corner = (placement.original_height, placement.original_width), (placement.top, placement.left)
    return torch.tensor([*original, *corner, placement.height, placement.width], dtype=torch.float32)


def predict(denoiser: nn.Module, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
    """The noise or v (B, C, h, w), float32, for noisy latents of that shape at timesteps t (B,)."""
    unet = cast(UNet2DConditionModel, denoiser)
    dtype = unet.conv_in.weight.dtype
    added = None
    if "time_ids" in conditions:
        added = {"text_embeds": conditions["pooled_prompt_embeds"].to(dtype), "time_ids": conditions["time_ids"]}
    with plain_products_of_few(noisy.shape[-2] * noisy.shape[-1], noisy.device):  # a cell is at most a token
        predicted: Tensor = unet(
            noisy.to(dtype), t, conditions["prompt_embeds"].to(dtype), added_cond_kwargs=added, return_dict=False
        )[0]
    return predicted.float()
