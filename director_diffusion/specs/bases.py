"""Bases: models that adapters are trained on, and where models come from."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from director_diffusion.pretraining.specs import TrainedHere
from director_diffusion.spec_base import Share, Slug, Spec, Text


class HubSource(Spec):
    """A repository on the Hugging Face Hub at a pinned revision."""

    kind: Literal["hub"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = Field(
        None, description="A commit, not a branch. `director pin` asks the Hub for it; without one nothing is loaded."
    )
    weights: Text | None = Field(None, description="A single weights file in it, for open_clip models.")


class FolderSource(Spec):
    """A folder in diffusers' (or the model's own) layout; relative to the folder of the configs' parent."""

    kind: Literal["folder"]
    folder: Text


class TrainedSource(Spec):
    """A part of a base that this project trains from scratch: as `<base>/base_model` was last made."""

    kind: Literal["base_model"]
    base: Slug = Field(description="A base whose file says `trained_here`.")
    part: Literal["base", "captioner", "embedder", "style_encoder"] = "base"


class SingleFileSource(Spec):
    """A base in one safetensors file, as ComfyUI and others keep checkpoints: the denoiser, often with all else.

    It becomes a folder in diffusers' layout; what the file lacks, configurations and tokenizers too, is `rest`'s.
    """

    kind: Literal["single_file"]
    file: Text = Field(description="Relative to the folder of the configs' parent.")
    rest: Annotated[HubSource | FolderSource, Field(discriminator="kind")] = Field(
        description="A base of the same family in diffusers' layout."
    )


Source = Annotated[HubSource | FolderSource | TrainedSource | SingleFileSource, Field(discriminator="kind")]
"""Where a base comes from."""

ModelSource = Annotated[HubSource | FolderSource | TrainedSource, Field(discriminator="kind")]
"""Where any other model comes from."""


class Licence(Spec):
    """A base model's licence, in the words of the Hub's card metadata."""

    id: Text = Field(description="The Hub's licence identifier, such as apache-2.0, openrail++ or other.")
    name: Text | None = Field(None, description="Needed when id is other.")
    link: Text | None = Field(None, description="Needed when id is other.")

    @model_validator(mode="after")
    def _other_has_a_name(self) -> "Licence":
        if self.id == "other" and not (self.name and self.link):
            raise ValueError("licence id 'other' needs a name and a link")
        return self


class Guidance(Spec):
    """How the base takes guidance: as an embedded input, or by two predictions (classifier-free)."""

    kind: Literal["embedded", "classifier_free"]
    train: Annotated[float, Field(ge=0, le=30)] = 1.0
    sample: Annotated[float, Field(ge=0, le=30)] = 3.5


DEFAULT_ASPECTS = (2.39, 2.0, 1.85, 1.78, 1.66, 1.33, 1.0, 0.8, 0.56)


class Resolution(Spec):
    """Pixel budget and the shapes of film that share it."""

    side: Annotated[int, Field(ge=16, le=4096)] = Field(description="Budget is side × side pixels.")
    multiple: Annotated[int, Field(ge=1, le=128)] = Field(description="Both sides of a bucket are multiples of this.")
    aspects: tuple[Annotated[float, Field(gt=0.2, lt=5)], ...] = Field(DEFAULT_ASPECTS, min_length=1)
    smaller_sides: tuple[Annotated[int, Field(ge=16, le=4096)], ...] = Field(
        (), description="Further budgets, for stills too small for `side`: nothing is upscaled."
    )
    max_cropped: Share = Field(0.06, description="Aim of the bucket choice: the largest share of a still cut away.")


class SampledWith(Spec):
    """Another checkpoint of the same architecture that pictures are drawn with, such as a few-step student."""

    name: Text
    source: Source
    model_id: Text = Field(description="As of a base: what a card's usage example loads.")
    guidance: Guidance


FLOWS = ("flux", "flux_pixel")
"""Families of rectified flow; the others go by discrete timesteps."""


class Base(Spec):
    """A base model that adapters are trained on."""

    slug: Slug
    name: Text
    family: Literal["flux", "flux_pixel", "sdxl", "sd15"]
    source: Source
    sampled_with: SampledWith | None = Field(None, description="None: pictures are drawn with what was trained on.")
    model_id: Text = Field(description="What a card calls the base: the Hub id, or the set's own name.")
    licence: Licence
    guidance: Guidance
    resolution: Resolution
    max_prompt_tokens: Annotated[int, Field(ge=8, le=512)] = 512
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    min_reconstruction_psnr: Annotated[float, Field(ge=0, le=60)] = Field(
        24.0, description="dB; the VAE must give a still back at least this well."
    )
    trained_here: TrainedHere | None = Field(None, description="How this project trains the base from scratch.")

    @property
    def hub_library(self) -> str | None:
        """The library whose code the Hub is to show; None where no pipeline of diffusers draws with it."""
        return None if self.family == "flux_pixel" else "diffusers"

    @property
    def drawn_with(self) -> "Base":
        """The base as pictures are drawn with it: itself, or the checkpoint of `sampled_with` in its place."""
        if self.sampled_with is None:
            return self
        other = {name: getattr(self.sampled_with, name) for name in SampledWith.model_fields}
        return self.model_copy(update={**other, "sampled_with": None, "trained_here": None})

    @model_validator(mode="after")
    def _source_is_its_own(self) -> "Base":
        if isinstance(self.source, TrainedSource):
            if (self.source.base, self.source.part) != (self.slug, "base"):
                raise ValueError(f"source: of kind base_model, a base has only its own: base {self.slug}, part base")
            if self.trained_here is None:
                raise ValueError("source: of kind base_model needs `trained_here`, which says how it is trained")
        if self.trained_here is not None and self.family not in self.trained_here.denoiser.families:
            raise ValueError(
                f"family: {self.family} is not what `trained_here.denoiser` describes, which is one of "
                f"{', '.join(self.trained_here.denoiser.families)}"
            )
        if self.trained_here is not None and (self.family == "flux_pixel") != (self.trained_here.vae is None):
            raise ValueError("family: flux_pixel is trained without a `vae`, all others with one")
        if self.trained_here is not None and self.resolution.multiple % self.trained_here.token_side:
            raise ValueError(
                f"resolution: multiple {self.resolution.multiple} must be a multiple of "
                f"{self.trained_here.token_side}, the pixels along a side of what the denoiser takes whole"
            )
        if self.trained_here is not None and self.max_prompt_tokens != self.trained_here.denoiser.prompt_tokens:
            raise ValueError("max_prompt_tokens: must be the prompt_tokens that the denoiser is trained with")
        return self
