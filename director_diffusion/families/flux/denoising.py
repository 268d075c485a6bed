"""Denoising with Flux: the transformer, what may be adapted in it, and what it predicts.

Belongs here: loading, presets of targets, packing and the velocity.  Pixels and prompts become tensors in `encoding`;
the process is `director_diffusion.processes`', the loop `director_diffusion.training`'s.
"""

import math
from pathlib import Path
from typing import Literal, cast

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from torch import Tensor, nn

from director_diffusion.families.base import Conditions, LatentScale
from director_diffusion.families.flux.packing import pack, token_places, unpack
from director_diffusion.families.loading import load_frozen
from director_diffusion.families.targets import matching_linears
from director_diffusion.processes import Flow
from director_diffusion.processes.base import Cells

PACK = 2  # latent cells along a side of one token

_ATTENTION = ("transformer_blocks.*.attn.*", "single_transformer_blocks.*.attn.*")
_SINGLE_FEED_FORWARD = ("proj_mlp", "proj_out")
PRESETS: dict[str, tuple[str, ...]] = {
    "attention": _ATTENTION,
    # Every linear of the blocks but the modulation norms': 418 of 494 in Flux.1.
    "all_block_linears": (
        *_ATTENTION,
        "transformer_blocks.*.ff.*",
        "transformer_blocks.*.ff_context.*",
        *(f"single_transformer_blocks.*.{name}" for name in _SINGLE_FEED_FORWARD),
    ),
}
"""Shell patterns over the full names of the transformer's linears."""


def load_denoiser(
    folder: Path, *, device: str, dtype: torch.dtype, quantised: Literal["nf4"] | None = None
) -> FluxTransformer2DModel:
    """The transformer, frozen."""
    return load_frozen(FluxTransformer2DModel, folder / "transformer", device=device, dtype=dtype, quantised=quantised)


def target_modules(denoiser: nn.Module, preset: str) -> list[str]:
    """Full names of the linears that a preset adapts, in the model's order.

    See `PRESETS`; `late_single_blocks` are all linears but the norms' of the later half of the single blocks, which the
    backward pass alone has to reach.
    """
    blocks = len(cast(FluxTransformer2DModel, denoiser).single_transformer_blocks)
    late = tuple(
        f"single_transformer_blocks.{number}.{name}"
        for number in range(blocks // 2, blocks)
        for name in ("attn.*", *_SINGLE_FEED_FORWARD)
    )
    return matching_linears(denoiser, {**PRESETS, "late_single_blocks": late}, preset)


def latent_scale(folder: Path) -> LatentScale:
    """The VAE's own constants."""
    config = AutoencoderKL.load_config(folder / "vae", local_files_only=True)
    return LatentScale(config["shift_factor"], config["scaling_factor"])


def latent_channels(denoiser: nn.Module, *, side: int) -> int:
    """Of what a token of `side` × `side` cells holds."""
    return int(cast(FluxTransformer2DModel, denoiser).config.in_channels) // side**2


def process(folder: Path, *, side: int = PACK) -> Flow:
    """Rectified flow; the base's scheduler says how far noise levels are shifted (Esser et al. 2024, eq. 23)."""
    config = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler", local_files_only=True).config

    def shift(cells: Cells) -> float:
        if not config.use_dynamic_shifting:
            return float(config.shift)
        tokens = (cells[0] // side) * (cells[1] // side)
        mu = calculate_shift(
            tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift, config.max_shift
        )
        return math.exp(mu) if config.time_shift_type == "exponential" else float(mu)

    return Flow(shift)


def predict(
    denoiser: nn.Module, noisy: Tensor, sigma: Tensor, prompt: Conditions, guidance: float, *, side: int = PACK
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
