"""The seam between the stages and a model architecture.

Belongs here: what every family must be able to do.  A family's own module says how.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from director_diffusion.families.usage import Example
from director_diffusion.processes import Process

Conditions = Mapping[str, Tensor]
"""What a denoiser is given beside the noisy latents: the encoders' outputs for one prompt (no batch dimension) or a
batch of them (leading dimension B), and the sizes of the picture where the family takes them."""


@dataclass(frozen=True)
class Placement:
    """How a still lies in its bucket, in pixels."""

    width: int  # of the bucket
    height: int
    original_width: int  # of the still, before it was scaled
    original_height: int
    left: int  # of the crop, in the scaled still
    top: int


@dataclass(frozen=True)
class LatentScale:
    """The VAE's own constants, between its latents and the denoiser's."""

    shift: float
    scale: float

    def normalise(self, latents: Tensor) -> Tensor:
        """The VAE's latents → the denoiser's.  Any shape."""
        return (latents - self.shift) * self.scale

    def undo(self, latents: Tensor) -> Tensor:
        """The inverse."""
        return latents / self.scale + self.shift


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
    """A sampling pipeline of a base, to which adapters may be attached."""

    def attach(self, *adapters: Path, strengths: Sequence[float] | None = None) -> None:
        """Load adapter files as users of diffusers would, one on top of the other, in place of any that are there.

        `strengths` multiply what each of them changes.
        """

    def detach(self) -> None:
        """Remove all adapters wholly."""

    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], *, width: int, height: int, steps: int, guidance: float
    ) -> list[Image.Image]:
        """One image per prompt and seed; each seed's noise is the same whatever else is in the batch."""


@dataclass(frozen=True)
class Sketch:
    """B pictures, asked of a denoiser in memory."""

    conditions: Conditions  # a batch of B embedded prompts
    empty: Conditions  # the empty prompt's, B times
    seeds: Sequence[int]  # B
    width: int  # pixels
    height: int
    steps: int
    guidance: float
    guidance_kind: str


class Family(Protocol):
    """One architecture."""

    name: str
    role: str  # of the denoiser in diffusers' pipeline, and so in the names of adapter weights

    def check_folder(self, folder: Path) -> None:
        """Raise ModelError, naming what is missing, unless `folder` holds a complete base of this family."""

    def latent_factor(self, folder: Path) -> int:
        """Pixels per latent cell along a side."""

    def token_counters(self, folder: Path) -> dict[str, Any]:
        """Functions str → int, one per tokenizer, counting a text's tokens with special tokens."""

    def load_codec(self, folder: Path, *, device: str) -> ImageCodec: ...

    def load_prompt_encoder(
        self, folder: Path, *, device: str, dtype: torch.dtype, max_tokens: int
    ) -> PromptEncoder: ...

    def load_denoiser(
        self, folder: Path, *, device: str, dtype: torch.dtype, quantised: Literal["nf4"] | None = None
    ) -> nn.Module:
        """Frozen; `quantised` holds its linears in 4 bits, with `dtype` to compute in."""

    def load_painter(
        self, folder: Path, *, device: str, dtype: torch.dtype, guidance_kind: str, max_tokens: int
    ) -> Painter:
        """`max_tokens` as for the prompt encoder: prompts are drawn with the padding they were trained with."""

    def painter_of(self, pipeline: Any, *, guidance_kind: str, max_tokens: int) -> Painter:
        """As `load_painter`, over a diffusers pipeline that is in memory: one that is being trained."""

    def target_modules(self, denoiser: nn.Module, preset: str) -> list[str]:
        """Full names of the linears that a preset adapts.  Raises ModelError where a pattern of it matches none."""

    def latent_scale(self, folder: Path) -> LatentScale:
        """How the VAE's latents become what the denoiser works on."""

    def latent_channels(self, denoiser: nn.Module) -> int:
        """Channels of what the denoiser works on."""

    def process(self, folder: Path) -> Process:
        """How the base mixes image and noise, and what it predicts."""

    def size_conditions(self, placement: Placement) -> dict[str, Tensor]:
        """What the denoiser is told of a picture's sizes; no batch dimension.  Most are told nothing."""

    def predict(self, denoiser: nn.Module, noisy: Tensor, t: Tensor, conditions: Conditions, guidance: float) -> Tensor:
        """The process's target (B, C, h, w), float32, as the denoiser predicts it at times t (B,).

        `guidance` enters only where the base was distilled with it.
        """

    def sketch(self, folder: Path, denoiser: nn.Module, asked: Sketch) -> Tensor:
        """What diffusers' own pipeline draws with a denoiser in memory, of prompts that were embedded before.

        Seeds' noise is the painter's, where both draw it in one dtype.  Returns the VAE's own latents (B, C, h, w),
        float32: neither text encoders nor VAE are needed.
        """

    def usage(self, example: Example) -> str:
        """Python with which a user draws the example; `image` holds the picture."""
