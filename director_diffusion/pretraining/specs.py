"""Specs of models trained here from scratch: where the pictures come from, and the size and schooling of each part.

Belongs here: what stands under `trained_here` in a base's file.  Imports no torch.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from director_diffusion.spec_base import PositiveInt, Share, Spec, Text

# --- data --------------------------------------------------------------------------------------------------------


class DrawnScenes(Spec):
    """Scenes that this project draws, captioned by the words they were drawn from."""

    kind: Literal["drawn_scenes"]
    pictures: PositiveInt = Field(description="Pictures drawn for training.")
    held_out: PositiveInt = Field(512, description="Further pictures that no part sees in training.")


class IdxImages(Spec):
    """Images and labels in the IDX format of MNIST, gzipped or not."""

    kind: Literal["idx"]
    images: Text = Field(description="File or fsspec URL; a relative path starts from the configs' parent.")
    labels: Text
    words: tuple[tuple[Text, ...], ...] = Field(
        min_length=1, description="What each label may be called, by its number."
    )
    held_out: Annotated[int, Field(ge=0)] = Field(0, description="Images at the end of the file kept from training.")
    available_at: str = Field("", description="Where the files can be had; told where they are missing.")


class ImageFolder(Spec):
    """A folder of images as torchvision and datasets lay it out: one subfolder a label.

    A label's prompt is the subfolder's name, with spaces for underscores.
    """

    kind: Literal["imagefolder"]
    folder: Text = Field(description="A relative path starts from the configs' parent.")
    held_out_share: Annotated[float, Field(ge=0, lt=1)] = 0.0


class HubImages(Spec):
    """An imagefolder data set on the Hugging Face Hub at a pinned revision."""

    kind: Literal["hub"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    folder: str = Field("", description="The imagefolder within the repository.")
    held_out_share: Annotated[float, Field(ge=0, lt=1)] = 0.0


Data = Annotated[DrawnScenes | IdxImages | ImageFolder | HubImages, Field(discriminator="kind")]

# --- parts -------------------------------------------------------------------------------------------------------


class PartTraining(Spec):
    """How a part is trained: AdamW, a warm-up, a cosine to zero, and an average of the weights that is handed out."""

    steps: PositiveInt = Field(description="Optimizer steps.")
    batch_size: PositiveInt
    lr: Annotated[float, Field(gt=0, le=1)] = Field(description="At its peak.")
    warmup_share: Share = 0.05
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(0.999, description="0 hands out the last weights.")
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="Of the arithmetic (autocast); weights are float32 in training."
    )
    checkpoint_every: PositiveInt = 500
    preview_every: PositiveInt = Field(1000, description="Steps between sample grids.")

    @property
    def trainings(self) -> tuple[tuple[float, int], ...]:
        """Peak learning rate and steps of the trainings that the part goes through, one after the other."""
        return ((self.lr, self.steps),)


class DrawnPart(PartTraining):
    """A part that may be trained on drawn scenes."""

    styled_share: Share = Field(0.5, description="Of drawn scenes: share in a random style; the others are in none.")


LEAST_CHANNELS = 16
LEAST_LATENT_CHANNELS = 3
"""Of a VAE: what `vae_start` fills.  Each of a norm's two groups has the 8 channels that carry colours."""


class VaePart(DrawnPart):
    """AutoencoderKL, each level but the last halving the picture."""

    channels: tuple[PositiveInt, ...] = Field(min_length=1)
    layers_per_block: PositiveInt = 1
    latent_channels: PositiveInt
    kl_weight: Annotated[float, Field(ge=0)] = Field(
        1e-4, description="Per latent number against per colour value: keeps latents near a normal distribution."
    )

    @field_validator("channels")
    @classmethod
    def _norms_fit(cls, channels: tuple[int, ...]) -> tuple[int, ...]:
        if any(count % 2 or count < LEAST_CHANNELS for count in channels):
            raise ValueError(f"each must be an even number, {LEAST_CHANNELS} or more: norms split them into 2 groups")
        return channels

    @field_validator("latent_channels")
    @classmethod
    def _colours_fit(cls, count: int) -> int:
        if count < LEAST_LATENT_CHANNELS:
            raise ValueError(f"must be {LEAST_LATENT_CHANNELS} or more: a VAE starts with a latent channel per colour")
        return count


class Finishing(Spec):
    """A second, short training from the first one's average, with stray words around prompts."""

    steps: PositiveInt = Field(description="Optimizer steps.")
    lr: Annotated[float, Field(gt=0, le=1)] = Field(description="At its peak.")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    stray_share: Share = Field(
        0.5, description="Share of prompts with words that mean nothing around them, as triggers and names do."
    )


class DenoiserPart(DrawnPart):
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
    prompt_dropout: Share = Field(
        0.1, description="Share of samples on the empty prompt, for classifier-free guidance."
    )
    preview_steps: PositiveInt = Field(20, description="Sampling steps of the grids.")
    finishing: Finishing | None = None

    @property
    def trainings(self) -> tuple[tuple[float, int], ...]:
        finishing = () if self.finishing is None else ((self.finishing.lr, self.finishing.steps),)
        return (*super().trainings, *finishing)

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


class CaptionerPart(DrawnPart):
    """Qwen2.5-VL with its processor."""

    width: PositiveInt = 96
    layers: PositiveInt = 3
    heads: PositiveInt = 3
    vision_width: PositiveInt = 64
    vision_depth: PositiveInt = 3
    vision_heads: PositiveInt = 2
    patch: PositiveInt = Field(8, description="Pixels along a side; 2 × 2 patches become one token.")
    max_pixels: PositiveInt = Field(description="Pixels of a picture as it is trained on.")

    @model_validator(mode="after")
    def _heads_fit(self) -> "CaptionerPart":
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width {self.width} must be a multiple of 2 × heads {self.heads}: heads are of even width"
            )
        if self.vision_width % (4 * self.vision_heads):
            raise ValueError(
                f"vision_width {self.vision_width} must be a multiple of 4 × vision_heads {self.vision_heads}: "
                "a head's width is split over rows and columns, in pairs"
            )
        return self


class Sight(Spec):
    """The pixels of what a judge sees, whatever a picture's shape: it is scaled to them, and nothing is cut away."""

    pixel_height: PositiveInt = 48
    pixel_width: PositiveInt = 88


class EmbedderPart(Sight, DrawnPart):
    """An open_clip model over a small timm image tower."""

    tower: Text = Field(description="timm's name of the image tower.")
    width: PositiveInt = Field(64, description="Of the vectors.")
    text_width: PositiveInt = 64
    text_heads: PositiveInt = 2
    text_layers: PositiveInt = 2

    @model_validator(mode="after")
    def _heads_fit(self) -> "EmbedderPart":
        if self.text_width % self.text_heads:
            raise ValueError(f"text_width {self.text_width} must be a multiple of text_heads {self.text_heads}")
        return self


class StyleEncoderPart(Sight, DrawnPart):
    """A timm image encoder whose vectors tell looks apart, whatever the pictures show."""

    architecture: Text = Field(description="timm's name.")

    @field_validator("batch_size")
    @classmethod
    def _pairs_fit(cls, count: int) -> int:
        if count < 4:
            raise ValueError("must be 4 or more: a batch is two pictures of each of its styles, which are told apart")
        return count


class TrainedHere(Spec):
    """A base, and what goes with it, trained from scratch by this project."""

    data: Data
    channels: Literal[1, 3] = Field(3, description="Of the pictures that the denoiser or its VAE sees: grey or colour.")
    seed: int = 0
    vae: VaePart | None = Field(None, description="None: the denoiser works on pixels.")
    denoiser: DenoiserPart
    captioner: CaptionerPart | None = None
    embedder: EmbedderPart | None = None
    style_encoder: StyleEncoderPart | None = None

    @property
    def token_side(self) -> int:
        """Pixels along a side of one of the denoiser's tokens: a picture is made of whole ones."""
        return self.denoiser.patch * (1 if self.vae is None else 2 ** (len(self.vae.channels) - 1))

    @model_validator(mode="after")
    def _parts_suit_data(self) -> "TrainedHere":
        if self.channels == 1 and (self.vae is not None or isinstance(self.data, DrawnScenes)):
            raise ValueError("channels 1 is for image files and a base without a vae; all else is in colour")
        if self.vae is not None and self.denoiser.patch != 2:
            raise ValueError(
                f"denoiser: patch {self.denoiser.patch} does not go with a vae, whose latents Flux packs by 2"
            )
        extra = [name for name in ("captioner", "embedder", "style_encoder") if getattr(self, name) is not None]
        if extra and not isinstance(self.data, DrawnScenes):
            raise ValueError(f"{', '.join(extra)} can be trained on drawn_scenes only, which know what they show")
        return self
