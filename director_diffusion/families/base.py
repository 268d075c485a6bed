"""The seam between the stages and a model architecture.

Belongs here: what every family must be able to do.  A family's own module says how.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from director_diffusion.families.usage import Example

Prompt = Mapping[str, Tensor]
"""The encoders' output for one prompt (no batch dimension) or a batch of them (leading dimension B)."""


class ImageCodec(Protocol):
    """A VAE: pixels to posterior, latents to pixels.  Latents here are the VAE's own, neither shifted nor scaled."""

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) in [-1, 1] → the posterior's mean and std, each (B, C, h, w), float32."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) → pixels (B, 3, H, W), clipped to [-1, 1], float32."""


class PromptEncoder(Protocol):
    """The text encoders with their tokenizers."""

    def encode(self, prompts: Sequence[str]) -> list[dict[str, Tensor]]:
        """One dict of tensors (on the CPU, no batch dimension) per prompt."""


class Painter(Protocol):
    """A sampling pipeline of a base, to which one adapter may be attached."""

    def attach(self, adapter: Path) -> None:
        """Load an adapter file as users of diffusers would; it stays until `detach`."""

    def detach(self) -> None:
        """Remove the adapter wholly."""

    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], *, width: int, height: int, steps: int, guidance: float
    ) -> list[Image.Image]:
        """One image per prompt and seed; each seed's noise is the same whatever else is in the batch."""


class Family(Protocol):
    """One architecture."""

    name: str

    def check_folder(self, folder: Path) -> None:
        """Raise ModelError, naming what is missing, unless `folder` holds a complete base of this family."""

    def latent_factor(self, folder: Path) -> int:
        """Pixels per latent cell along a side."""

    def token_counters(self, folder: Path) -> dict[str, Any]:
        """Functions str → int, one per tokenizer, counting a text's tokens with special tokens."""

    def load_codec(self, folder: Path, *, device: str, dtype: torch.dtype) -> ImageCodec: ...

    def load_prompt_encoder(
        self, folder: Path, *, device: str, dtype: torch.dtype, max_tokens: int
    ) -> PromptEncoder: ...

    def load_denoiser(self, folder: Path, *, device: str, dtype: torch.dtype) -> nn.Module: ...

    def load_painter(
        self, folder: Path, *, device: str, dtype: torch.dtype, guidance_kind: str, max_tokens: int
    ) -> Painter:
        """`max_tokens` as for the prompt encoder: prompts are drawn with the padding they were trained with."""

    def painter_of(self, pipeline: Any, *, guidance_kind: str, max_tokens: int) -> Painter:
        """As `load_painter`, over a diffusers pipeline that is in memory: one that is being trained."""

    def target_modules(self, denoiser: nn.Module, preset: str) -> list[str]:
        """Full names of the linears that a preset adapts.  Raises ModelError where a pattern of it matches none."""

    def normalise(self, folder: Path, latents: Tensor) -> Tensor:
        """The VAE's latents → what the denoiser works on (shifted and scaled).  Same shape."""

    def sigma_shift(self, folder: Path, *, height: int, width: int) -> float:
        """exp(mu) of the sampling schedule for (height, width) latent cells: sigma' = s·sigma / (1 + (s-1)·sigma)."""

    def predict(self, denoiser: nn.Module, noisy: Tensor, sigma: Tensor, prompt: Prompt, guidance: float) -> Tensor:
        """Velocity (B, C, h, w) at noise levels sigma (B,) in (0, 1], for a batch of prompts."""

    def save_adapter(
        self, path: Path, state: Mapping[str, Tensor], *, peft_config: Any, metadata: Mapping[str, str]
    ) -> None:
        """Write adapter weights as this family's diffusers pipeline loads them, alpha and metadata in the header."""

    def usage(self, example: Example) -> str:
        """Python with which a user draws the example; `image` holds the picture."""
