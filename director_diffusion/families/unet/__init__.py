"""UNets on latents (Rombach et al. 2022): what SD 1.5 and SDXL have in common, which is nearly all.

Belongs here: their common face.  `layout` says what tells them apart, `encoding` turns prompts into tensors,
`denoising` trains and predicts, `drawing` samples with diffusers' own pipelines, `usage` tells users how to.
"""

from pathlib import Path
from typing import Any, Literal, cast

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from director_diffusion.families.base import Conditions, LatentScale, Placement, Sketch
from director_diffusion.families.codec import VaeCodec, vae_factor
from director_diffusion.families.unet import denoising, drawing, encoding, usage
from director_diffusion.families.unet.layout import Layout
from director_diffusion.families.usage import Example
from director_diffusion.processes import Process


class UnetFamily:
    """See `families.base.Family` for what each method promises."""

    name: str
    layout: Layout
    role = "unet"

    def check_folder(self, folder: Path) -> None:
        encoding.check_folder(folder, self.layout)

    def latent_factor(self, folder: Path) -> int:
        return vae_factor(folder)

    def token_counters(self, folder: Path) -> dict[str, Any]:
        return encoding.token_counters(folder, self.layout)

    def load_codec(self, folder: Path, *, device: str) -> VaeCodec:
        return VaeCodec(folder, device=device)

    def load_prompt_encoder(
        self, folder: Path, *, device: str, dtype: torch.dtype, max_tokens: int
    ) -> encoding.ClipPromptEncoder:
        return encoding.ClipPromptEncoder(folder, self.layout, device=device, dtype=dtype, max_tokens=max_tokens)

    def load_denoiser(
        self, folder: Path, *, device: str, dtype: torch.dtype, quantised: Literal["nf4"] | None = None
    ) -> nn.Module:
        return denoising.load_denoiser(folder, device=device, dtype=dtype, quantised=quantised)

    def load_painter(
        self, folder: Path, *, device: str, dtype: torch.dtype, guidance_kind: str, max_tokens: int
    ) -> drawing.UnetPainter:
        return drawing.UnetPainter.load(
            folder, self.layout, device=device, dtype=dtype, guidance_kind=guidance_kind, max_tokens=max_tokens
        )

    def painter_of(self, pipeline: Any, *, guidance_kind: str, max_tokens: int) -> drawing.UnetPainter:
        return drawing.UnetPainter(
            pipeline, self.layout, name="this pipeline", guidance_kind=guidance_kind, max_tokens=max_tokens
        )

    def target_modules(self, denoiser: nn.Module, preset: str) -> list[str]:
        return denoising.target_modules(denoiser, preset)

    def latent_scale(self, folder: Path) -> LatentScale:
        return denoising.latent_scale(folder)

    def latent_channels(self, denoiser: nn.Module) -> int:
        return int(cast(UNet2DConditionModel, denoiser).config.in_channels)

    def process(self, folder: Path) -> Process:
        return denoising.process(folder)

    def size_conditions(self, placement: Placement) -> dict[str, Tensor]:
        return {} if self.layout.sizes is None else {"time_ids": denoising.time_ids(placement)}

    def predict(self, denoiser: nn.Module, noisy: Tensor, t: Tensor, conditions: Conditions, guidance: float) -> Tensor:
        return denoising.predict(denoiser, noisy, t, conditions)

    def sketch(self, folder: Path, denoiser: nn.Module, asked: Sketch) -> Tensor:
        drawn = drawing.sketch(folder, self.layout, denoiser, asked, factor=self.latent_factor(folder))
        return self.latent_scale(folder).undo(drawn)

    def usage(self, example: Example) -> str:
        return usage.usage(example, self.layout)
