"""Flux (Black Forest Labs): rectified flow on packed 16-channel latents, T5 and CLIP text encoders.

Belongs here: the family's face.  `encoding` turns pixels and prompts into tensors, `denoising` trains and predicts,
`drawing` samples with diffusers' own pipeline, `usage` tells users how to.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from director_diffusion.families.base import Conditions, LatentScale, Placement, Sketch
from director_diffusion.families.codec import VaeCodec, vae_factor
from director_diffusion.families.flux import denoising, drawing, encoding, usage
from director_diffusion.families.usage import Example
from director_diffusion.processes import Process


class FluxFamily:
    """See `families.base.Family` for what each method promises."""

    name, role = "flux", "transformer"

    def check_folder(self, folder: Path) -> None:
        encoding.check_folder(folder)

    def latent_factor(self, folder: Path) -> int:
        return vae_factor(folder)

    def token_counters(self, folder: Path) -> dict[str, Any]:
        return encoding.token_counters(folder)

    def load_codec(self, folder: Path, *, device: str) -> VaeCodec:
        return VaeCodec(folder, device=device)

    def load_prompt_encoder(
        self, folder: Path, *, device: str, dtype: torch.dtype, max_tokens: int
    ) -> encoding.FluxPromptEncoder:
        return encoding.FluxPromptEncoder(folder, device=device, dtype=dtype, max_tokens=max_tokens)

    def load_denoiser(
        self, folder: Path, *, device: str, dtype: torch.dtype, quantised: Literal["nf4"] | None = None
    ) -> nn.Module:
        return denoising.load_denoiser(folder, device=device, dtype=dtype, quantised=quantised)

    def load_painter(
        self, folder: Path, *, device: str, dtype: torch.dtype, guidance_kind: str, max_tokens: int
    ) -> drawing.FluxPainter:
        return drawing.FluxPainter.load(
            folder, device=device, dtype=dtype, guidance_kind=guidance_kind, max_tokens=max_tokens
        )

    def painter_of(self, pipeline: Any, *, guidance_kind: str, max_tokens: int) -> drawing.FluxPainter:
        return drawing.FluxPainter(pipeline, name="this pipeline", guidance_kind=guidance_kind, max_tokens=max_tokens)

    def target_modules(self, denoiser: nn.Module, preset: str) -> list[str]:
        return denoising.target_modules(denoiser, preset)

    def latent_scale(self, folder: Path) -> LatentScale:
        return denoising.latent_scale(folder)

    def latent_channels(self, denoiser: nn.Module) -> int:
        return denoising.latent_channels(denoiser, side=denoising.PACK)

    def process(self, folder: Path) -> Process:
        return denoising.process(folder)

    def size_conditions(self, placement: Placement) -> dict[str, Tensor]:
        return {}

    def predict(self, denoiser: nn.Module, noisy: Tensor, t: Tensor, conditions: Conditions, guidance: float) -> Tensor:
        return denoising.predict(denoiser, noisy, t, conditions, guidance)

    def sketch(self, folder: Path, denoiser: nn.Module, asked: Sketch) -> Tensor:
        factor, side = self.latent_factor(folder), self.token_side(folder)
        return self.latent_scale(folder).undo(drawing.sketch(folder, denoiser, asked, factor=factor, side=side))

    def token_side(self, folder: Path) -> int:
        """Latent cells along a side of one token."""
        return denoising.PACK

    def usage(self, example: Example) -> str:
        return usage.usage(example)
