"""Tiny untrained bases of SDXL's and SD 1.5's real classes, and the real UNets without weights."""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import UNet2DConditionModel

from benchmarks.steps.shapes import SDXL_UNET
from director_diffusion.pretraining.denoiser_specs import UnetPart
from director_diffusion.pretraining.specs import VaePart
from director_diffusion.pretraining.unet_parts import unshifted, untrained_pipeline
from director_diffusion.pretraining.vae import untrained_vae

Kind = Literal["sdxl", "sd15"]
FACTOR, CHANNELS, TEXT_WIDTH = 2, 4, 32

STEPS = {"steps": 1, "batch_size": 1, "lr": 1e-3}


def save_base(folder: Path, kind: Kind, **scheduler: Any) -> Path:
    """A base in diffusers' layout; `scheduler` replaces entries of its scheduler's configuration."""
    torch.manual_seed(0)
    vae = untrained_vae(VaePart.model_validate({**STEPS, "channels": [16, 16], "latent_channels": CHANNELS}))
    vae.register_to_config(scaling_factor=0.8)
    part = UnetPart.model_validate(
        {**STEPS, "kind": kind, "channels": [16, 32], "head_dim": 16, "text_width": TEXT_WIDTH, "transformer_layers": 2}
    )
    untrained_pipeline(part, vae=unshifted(vae)).save_pretrained(folder)
    path = folder / "scheduler/scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **scheduler}))
    return folder


def real_unet(kind: Kind) -> UNet2DConditionModel:
    """Of the sizes that the Hub's configurations give, frozen, on the meta device."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**(SDXL_UNET if kind == "sdxl" else {"cross_attention_dim": 768}))
    return unet.requires_grad_(False)
