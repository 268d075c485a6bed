"""Specs of denoisers trained from scratch, with the text encoders that learn beside them.

Belongs here: one class for each architecture.  Imports no torch.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from director_diffusion.pretraining.part_specs import DrawnPart
from director_diffusion.spec_base import PositiveInt, Share, Spec

CLIP_LENGTH = 77
"""Tokens that a CLIP text encoder takes, as in the real one."""


class Finishing(Spec):
    """A second, short training from the first one's average, with stray words around prompts."""

    steps: PositiveInt = Field(description="Optimizer steps.")
    lr: Annotated[float, Field(gt=0, le=1)] = Field(description="At its peak.")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    stray_share: Share = Field(
        0.5, description="Share of prompts with words that mean nothing around them, as triggers and names do."
    )


class PromptedPart(DrawnPart):
    """A denoiser that prompts guide."""

    prompt_dropout: Share = Field(
        0.1, description="Share of samples on the empty prompt, for classifier-free guidance."
    )
    preview_steps: PositiveInt = Field(20, description="Sampling steps of the grids.")
    finishing: Finishing | None = None

    @property
    def pixel_multiple(self) -> int:
        """Pixels that both sides of a picture are multiples of, whatever the VAE."""
        return 1

    @property
    def trainings(self) -> tuple[tuple[float, int], ...]:
        finishing = () if self.finishing is None else ((self.finishing.lr, self.finishing.steps),)
        return (*super().trainings, *finishing)


class DenoiserPart(PromptedPart):
    """FluxTransformer2DModel with its T5 and CLIP text encoders."""

    patch: PositiveInt = Field(2, description="Latent cells (pixels, without a VAE) along a side of one token.")
    heads: PositiveInt
    head_dim: Annotated[int, Field(ge=6, multiple_of=2)]
    rope: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(description="Split of head_dim over index, row, column.")
    layers: Annotated[int, Field(ge=0)] = Field(description="Double-stream blocks.")
    single_layers: Annotated[int, Field(ge=0)]
    text_width: PositiveInt = Field(96, description="Of T5's tokens.")
    pooled_width: PositiveInt = Field(64, description="Of CLIP's pooled text.")
    text_layers: PositiveInt = 2
    prompt_tokens: Annotated[int, Field(ge=4, le=512)] = Field(description="T5 tokens, padding included.")

    @property
    def families(self) -> tuple[str, ...]:
        """Those that such a denoiser is of."""
        return ("flux", "flux_pixel")

    @property
    def token_cells(self) -> int:
        """Latent cells along a side that the denoiser takes as one."""
        return self.patch

    @model_validator(mode="after")
    def _rope_fits(self) -> "DenoiserPart":
        if sum(self.rope) != self.head_dim or any(axis % 2 for axis in self.rope):
            raise ValueError(f"rope {list(self.rope)} must be even numbers that add up to head_dim {self.head_dim}")
        return self

    @field_validator("pooled_width")
    @classmethod
    def _heads_fit(cls, width: int) -> int:
        if width >= 32 and width % (width // 32):
            raise ValueError("must be divisible by its heads, one for each whole 32: multiples of 32 always are")
        return width


LEAST_CHANNELS = 8
"""Of a UNet: its norms split them into groups of so many."""


class UnetPart(PromptedPart):
    """UNet2DConditionModel with CLIP text encoders: SDXL's two, or the one of Stable Diffusion 1.5."""

    kind: Literal["sdxl", "sd15"]
    channels: tuple[PositiveInt, ...] = Field(min_length=2, description="By level; each but the last halves.")
    layers_per_block: PositiveInt = 1
    transformer_layers: PositiveInt = Field(1, description="Transformer blocks in an attention.")
    head_dim: Annotated[int, Field(ge=4, multiple_of=4)] = 32
    text_width: PositiveInt = Field(96, description="Of CLIP's tokens, a multiple of 32; SDXL's second one's too.")
    text_layers: Annotated[int, Field(ge=2)] = Field(2, description="SDXL reads the last but one.")

    @property
    def families(self) -> tuple[str, ...]:
        """Those that such a denoiser is of."""
        return (self.kind,)

    @property
    def token_cells(self) -> int:
        """Latent cells along a side that become one in the UNet's middle."""
        return int(2 ** (len(self.channels) - 1))

    @property
    def pixel_multiple(self) -> int:
        """diffusers' pipelines ask for it."""
        return 8

    @property
    def prompt_tokens(self) -> int:
        """CLIP's tokens, padding included."""
        return CLIP_LENGTH

    @field_validator("text_width")
    @classmethod
    def _text_heads_fit(cls, width: int) -> int:
        if width % 32:
            raise ValueError("must be a multiple of 32, the width of CLIP's heads")
        return width

    @model_validator(mode="after")
    def _channels_fit(self) -> "UnetPart":
        if any(count % self.head_dim or count % LEAST_CHANNELS for count in self.channels):
            raise ValueError(
                f"channels {list(self.channels)} must be multiples of head_dim {self.head_dim} and of {LEAST_CHANNELS}"
            )
        return self


def _kind_of_denoiser(part: Any) -> str:
    # A Flux part says no kind: it was the only one when the shipped set was trained, and keys are made of what is said.
    return "unet" if isinstance(part, UnetPart) or (isinstance(part, dict) and "kind" in part) else "flux"


Denoiser = Annotated[
    Annotated[DenoiserPart, Tag("flux")] | Annotated[UnetPart, Tag("unet")], Discriminator(_kind_of_denoiser)
]
