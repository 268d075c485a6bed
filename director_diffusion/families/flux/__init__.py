"""Flux (Black Forest Labs): rectified flow on packed 16-channel latents, T5 and CLIP text encoders.

Belongs here: the family's face.  `encoding` turns pixels and prompts into tensors, `denoising` trains and predicts,
`drawing` samples with diffusers' own pipeline, `usage` tells users how to.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from director_diffusion.families.base import Prompt
from director_diffusion.families.flux import denoising, drawing, encoding, usage
from director_diffusion.families.usage import Example


class FluxFamily:
    """See `families.base.Family` for what each method promises."""

    name = "flux"

    def check_folder(self, folder: Path) -> None:
        encoding.check_folder(folder)

    def latent_factor(self, folder: Path) -> int:
        return encoding.latent_factor(folder)

    def token_counters(self, folder: Path) -> dict[str, Any]:
        return encoding.token_counters(folder)

    def load_codec(self, folder: Path, *, device: str, dtype: torch.dtype) -> encoding.FluxCodec:
        return encoding.FluxCodec(folder, device=device, dtype=dtype)

    def load_prompt_encoder(
        self, folder: Path, *, device: str, dtype: torch.dtype, max_tokens: int
    ) -> encoding.FluxPromptEncoder:
        return encoding.FluxPromptEncoder(folder, device=device, dtype=dtype, max_tokens=max_tokens)

    def load_denoiser(self, folder: Path, *, device: str, dtype: torch.dtype) -> nn.Module:
        return denoising.load_denoiser(folder, device=device, dtype=dtype)

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

    def normalise(self, folder: Path, latents: Tensor) -> Tensor:
        return denoising.normalise(folder, latents)

    def sigma_shift(self, folder: Path, *, height: int, width: int) -> float:
        return denoising.sigma_shift(folder, height=height, width=width)

    def predict(self, denoiser: nn.Module, noisy: Tensor, sigma: Tensor, prompt: Prompt, guidance: float) -> Tensor:
        return denoising.predict(denoiser, noisy, sigma, prompt, guidance)

    def save_adapter(
        self, path: Path, state: Mapping[str, Tensor], *, peft_config: Any, metadata: Mapping[str, str]
    ) -> None:
        denoising.save_adapter(path, state, peft_config=peft_config, metadata=metadata)

    def usage(self, example: Example) -> str:
        return usage.usage(example)
