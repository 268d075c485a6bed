"""Specs of models trained here from scratch: where the pictures come from, and the size and schooling of each part.

Belongs here: what stands under `trained_here` in a base's file.  Imports no torch.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from director_diffusion.pretraining.denoiser_specs import Denoiser
from director_diffusion.pretraining.denoiser_specs import DenoiserPart as DenoiserPart
from director_diffusion.pretraining.denoiser_specs import UnetPart as UnetPart
from director_diffusion.pretraining.part_specs import DrawnPart as DrawnPart
from director_diffusion.pretraining.part_specs import PartTraining as PartTraining
from director_diffusion.spec_base import Plain, PositiveInt, Seed, Spec, Text

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
    available_at: Annotated[str, Plain] = Field(
        "", description="Where the files can be had; told where they are missing."
    )


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
    folder: Annotated[str, Plain] = Field("", description="The imagefolder within the repository.")
    held_out_share: Annotated[float, Field(ge=0, lt=1)] = 0.0


Data = Annotated[DrawnScenes | IdxImages | ImageFolder | HubImages, Field(discriminator="kind")]

# --- parts -------------------------------------------------------------------------------------------------------


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


class VaeFolder(Spec):
    """A VAE that is there already, in diffusers' layout."""

    kind: Literal["folder"]
    folder: Text = Field(description="A relative path starts from the configs' parent.")
    factor: PositiveInt = Field(description="Pixels per latent cell along a side.")


def _kind_of_vae(vae: Any) -> str:
    return "folder" if isinstance(vae, VaeFolder) or (isinstance(vae, dict) and "kind" in vae) else "trained"


Vae = Annotated[Annotated[VaePart, Tag("trained")] | Annotated[VaeFolder, Tag("folder")], Discriminator(_kind_of_vae)]


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
    seed: Seed = 0
    vae: Vae | None = Field(None, description="None: the denoiser works on pixels.")
    denoiser: Denoiser
    captioner: CaptionerPart | None = None
    embedder: EmbedderPart | None = None
    style_encoder: StyleEncoderPart | None = None

    @property
    def token_side(self) -> int:
        """Pixels along a side of what the denoiser takes whole: a picture is made of such squares."""
        match self.vae:
            case None:
                factor = 1
            case VaeFolder():
                factor = self.vae.factor
            case VaePart():
                factor = 2 ** (len(self.vae.channels) - 1)
        return math.lcm(self.denoiser.token_cells * factor, self.denoiser.pixel_multiple)

    @model_validator(mode="after")
    def _parts_suit_data(self) -> "TrainedHere":
        if self.channels == 1 and (self.vae is not None or isinstance(self.data, DrawnScenes)):
            raise ValueError("channels 1 is for image files and a base without a vae; all else is in colour")
        if self.vae is not None and isinstance(self.denoiser, DenoiserPart) and self.denoiser.patch != 2:
            raise ValueError(
                f"denoiser: patch {self.denoiser.patch} does not go with a vae, whose latents Flux packs by 2"
            )
        extra = [name for name in ("captioner", "embedder", "style_encoder") if getattr(self, name) is not None]
        if extra and not isinstance(self.data, DrawnScenes):
            raise ValueError(f"{', '.join(extra)} can be trained on drawn_scenes only, which know what they show")
        return self
