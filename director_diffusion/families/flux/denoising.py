"""Denoising with Flux: the transformer, what may be adapted in it, and what it predicts.

Belongs here: loading, presets of targets, packing, the velocity, and the adapter's file.  Pixels and prompts become
tensors in `encoding`; the objective and the loop are `director_diffusion.training`'s.
"""

import json
import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from torch import Tensor, nn

from director_diffusion.errors import ModelError
from director_diffusion.families.adapter_files import plain_config, write_adapter_file
from director_diffusion.families.base import Prompt
from director_diffusion.families.flux.packing import pack, token_places, unpack

PACK = 2  # latent cells along a side of one token

_ATTENTION = ("transformer_blocks.*.attn.*", "single_transformer_blocks.*.attn.*")
PRESETS: dict[str, tuple[str, ...]] = {
    "attention": _ATTENTION,
    # Every linear of the blocks but the modulation norms': 418 of 494 in Flux.1.
    "all_block_linears": (
        *_ATTENTION,
        "transformer_blocks.*.ff.*",
        "transformer_blocks.*.ff_context.*",
        "single_transformer_blocks.*.proj_mlp",
        "single_transformer_blocks.*.proj_out",
    ),
}
"""Shell patterns over the full names of the transformer's linears."""


def load_denoiser(folder: Path, *, device: str, dtype: torch.dtype) -> FluxTransformer2DModel:
    """The transformer, frozen."""
    denoiser = FluxTransformer2DModel.from_pretrained(folder / "transformer", dtype=dtype, local_files_only=True)
    return denoiser.to(device).eval().requires_grad_(False)


def target_modules(denoiser: nn.Module, preset: str) -> list[str]:
    """Full names of the linears that a preset adapts, in the model's order.  See `PRESETS`."""
    linears = [name for name, module in denoiser.named_modules() if isinstance(module, nn.Linear)]
    for pattern in PRESETS[preset]:
        if not any(fnmatchcase(name, pattern) for name in linears):
            raise ModelError(
                f"targets {preset!r}",
                f"cannot be adapted: no linear of this {type(denoiser).__name__} is called {pattern!r}",
                "Choose other targets in the recipe, or a base of the family flux.",
            )
    return [name for name in linears if any(fnmatchcase(name, pattern) for pattern in PRESETS[preset])]


def normalise(folder: Path, latents: Tensor) -> Tensor:
    """The VAE's latents → the denoiser's: (x - shift) · scale, with the VAE's own constants."""
    config = AutoencoderKL.load_config(folder / "vae", local_files_only=True)
    return (latents - config["shift_factor"]) * config["scaling_factor"]


def sigma_shift(folder: Path, *, height: int, width: int, side: int = PACK) -> float:
    """How far the base's scheduler shifts noise levels for (height, width) latent cells (Esser et al. 2024, eq. 23)."""
    config = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler", local_files_only=True).config
    if not config.use_dynamic_shifting:
        return float(config.shift)
    tokens = (height // side) * (width // side)
    mu = calculate_shift(
        tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift
    )
    return math.exp(mu) if config.time_shift_type == "exponential" else float(mu)


def predict(
    denoiser: nn.Module, noisy: Tensor, sigma: Tensor, prompt: Prompt, guidance: float, *, side: int = PACK
) -> Tensor:
    """Velocity (B, C, h, w), float32, for noisy latents of that shape at noise levels sigma (B,) in (0, 1].

    A token is a square of `side` cells.  The transformer multiplies its timestep by 1000 itself: it is given sigma.
    Guidance enters only where the base was distilled with it.
    """
    transformer = cast(FluxTransformer2DModel, denoiser)
    batch, _, height, width = noisy.shape
    device, dtype = noisy.device, transformer.x_embedder.weight.dtype
    velocity = transformer(
        hidden_states=pack(noisy.to(dtype), side),
        timestep=sigma.to(dtype),
        guidance=torch.full((batch,), guidance, device=device) if transformer.config.guidance_embeds else None,
        pooled_projections=prompt["pooled_prompt_embeds"].to(dtype),
        encoder_hidden_states=prompt["prompt_embeds"].to(dtype),
        txt_ids=torch.zeros(prompt["prompt_embeds"].shape[1], 3, device=device, dtype=dtype),
        img_ids=token_places(height // side, width // side, device=device, dtype=dtype),
        return_dict=False,
    )[0]
    return unpack(velocity.float(), side, height=height, width=width)


def save_adapter(path: Path, state: Mapping[str, Tensor], *, peft_config: Any, metadata: Mapping[str, str]) -> None:
    """Write what `FluxPipeline.load_lora_weights` reads: peft's weights, and rank, alpha and targets in the header.

    `metadata` stands beside them, under its own keys.
    """
    config = {f"{FluxPipeline.transformer_name}.{key}": value for key, value in plain_config(peft_config).items()}
    header = {**metadata, LORA_ADAPTER_METADATA_KEY: json.dumps(config, sort_keys=True)}
    FluxPipeline.save_lora_weights(
        path.parent,
        transformer_lora_layers=dict(state),
        weight_name=path.name,
        save_function=lambda weights, name: write_adapter_file(Path(name), weights, header),
    )
