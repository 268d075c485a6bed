"""Specs: everything a person decides, as typed and strict objects.

Belongs here: the pydantic models of the files under `configs/`, one class a folder, and the bounds of every value.
Does not: where the files are (`catalog.load_catalog` is given a path), or anything that a spec causes to happen.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from director_diffusion.pretraining.specs import TrainedHere
from director_diffusion.spec_base import PositiveInt, Share, Slug, Spec, Text

# --- directors ---------------------------------------------------------------------------------------------------


class StillsRules(Spec):
    """How a director's stills are chosen.  Defaults suit film frames; a director's file may override any."""

    min_distinct: PositiveInt = Field(12, description="Fewer distinct stills than this is refused.")
    max_rejected_share: Share = Field(0.7, description="More rejected files than this share is refused.")
    held_out_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.2, description="Share of stills kept from training."
    )
    max_megapixels: Annotated[float, Field(gt=0, le=178)] = Field(
        100.0, description="Larger images are refused; above 178 Pillow itself does."
    )
    min_side: PositiveInt = Field(48, description="Stills with a shorter side (pixels, after the crop) are rejected.")
    remove_bars: bool = Field(True, description="Remove letterbox and pillarbox bars, decided per film.")
    near_duplicate_distance: Annotated[int, Field(ge=0, le=32)] = Field(
        6, description="Perceptual hashes (64 bit) at most this many bits apart are the same still."
    )


class CaptionRules(Spec):
    """What captions of this director's stills describe, and what they leave to the trigger."""

    describe: tuple[Text, ...] = Field(
        ("subject", "action", "setting", "time of day", "shot size", "camera angle"), min_length=1
    )
    omit: tuple[Text, ...] = Field(
        ("visual style", "mood", "colour palette", "lighting style", "film titles", "names of people")
    )
    forbidden_words: tuple[Text, ...] = Field((), description="Words that must not stand in a caption, such as names.")


class Director(Spec):
    """A director: one partition of the graph."""

    slug: Slug
    name: Text = Field(description="As people write it, for cards and for the 'in the style of' arm.")
    trigger: Annotated[str, Field(min_length=2, max_length=60, pattern=r"^[^,\n]+$")] = Field(
        description="The words that call the style; put in front of every caption."
    )
    stills_licence: Text = Field(description="Where the stills come from and what may be done with them.")
    captions: CaptionRules = CaptionRules()
    stills: StillsRules = StillsRules()
    min_captioned: Share | None = Field(None, description="If set, a smaller captioned share blocks what follows.")


# --- models ------------------------------------------------------------------------------------------------------


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


Source = Annotated[HubSource | FolderSource | TrainedSource, Field(discriminator="kind")]


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


class Base(Spec):
    """A base model that adapters are trained on."""

    slug: Slug
    name: Text
    family: Literal["flux", "flux_pixel"]
    source: Source
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

    @model_validator(mode="after")
    def _source_is_its_own(self) -> "Base":
        if isinstance(self.source, TrainedSource):
            if (self.source.base, self.source.part) != (self.slug, "base"):
                raise ValueError(f"source: of kind base_model, a base has only its own: base {self.slug}, part base")
            if self.trained_here is None:
                raise ValueError("source: of kind base_model needs `trained_here`, which says how it is trained")
        if self.trained_here is not None and (self.family == "flux_pixel") != (self.trained_here.vae is None):
            raise ValueError("family: flux_pixel is trained without a `vae`, flux with one")
        if self.trained_here is not None and self.resolution.multiple % self.trained_here.token_side:
            raise ValueError(
                f"resolution: multiple {self.resolution.multiple} must be a multiple of "
                f"{self.trained_here.token_side}, the pixels along a side of one of the denoiser's tokens"
            )
        if self.trained_here is not None and self.max_prompt_tokens != self.trained_here.denoiser.prompt_tokens:
            raise ValueError("max_prompt_tokens: must be the prompt_tokens that the denoiser is trained with")
        return self


# --- recipes -----------------------------------------------------------------------------------------------------


class LoraAdapter(Spec):
    """Low-rank adapter (Hu et al. 2021): W + alpha / rank · B A."""

    kind: Literal["lora"]
    rank: Annotated[int, Field(ge=1, le=512)]
    alpha: Annotated[float, Field(gt=0, le=1024)]
    targets: Literal["attention", "all_block_linears"] = "all_block_linears"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class AdamW(Spec):
    """AdamW (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    lr: Annotated[float, Field(gt=0, le=1)]
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-4
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0


class Schedule(Spec):
    """Learning rate per optimizer step."""

    kind: Literal["constant", "cosine"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 0


class Timesteps(Spec):
    """Which noise levels training visits: logit-normal (Esser et al. 2024), shifted by the number of latent tokens."""

    mean: float = 0.0
    std: Annotated[float, Field(gt=0, le=10)] = 1.0
    shift: Literal["resolution", "none"] = "resolution"


class HeldOut(Spec):
    """The held-out loss: fixed noise levels and fixed noise, so that checkpoints compare."""

    sigmas: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field((0.15, 0.35, 0.55, 0.75, 0.95), min_length=1)
    noises: PositiveInt = Field(1, description="Noise draws per still and noise level.")


class Recipe(Spec):
    """How an adapter is made of a base."""

    slug: Slug
    base: Slug
    adapter: LoraAdapter
    optimizer: AdamW
    schedule: Schedule = Schedule()
    timesteps: Timesteps = Timesteps()
    held_out: HeldOut = HeldOut()
    steps: PositiveInt = Field(description="Optimizer steps.")
    batch_size: PositiveInt = 1
    gradient_accumulation: PositiveInt = 1
    caption_dropout: Share = Field(0.1, description="Share of samples trained on the empty prompt.")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(0.99, description="0 keeps no moving average.")
    checkpoint_every: PositiveInt = Field(description="Optimizer steps between checkpoints.")
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    gradient_checkpointing: bool = False
    seed: int = 0

    @model_validator(mode="after")
    def _warmup_fits(self) -> "Recipe":
        if self.schedule.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps {self.schedule.warmup_steps} must be below steps {self.steps}")
        return self


# --- evaluation --------------------------------------------------------------------------------------------------


class Prompt(Spec):
    """One evaluation prompt, without a trigger."""

    text: Text
    subject: Text


class Embedder(Spec):
    """An open_clip model that scores images: its architecture's name and its weights."""

    model: Text = Field(
        description="open_clip's architecture name; for a folder, the folder's open_clip_config.json rules."
    )
    source: Source


class Sampling(Spec):
    """How the arms are drawn."""

    steps: Annotated[int, Field(ge=1, le=200)] = 28
    guidance: Annotated[float, Field(ge=0, le=30)] | None = Field(None, description="None takes the base's own.")
    aspect: Annotated[float, Field(gt=0.2, lt=5)] = 1.85
    batch_size: PositiveInt = 1


class Margins(Spec):
    """What counts as enough and as too much, on the embedder's cosine scale."""

    style: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Superiority: style effect's interval must lie above this, against both other arms."
    )
    prompt: Annotated[float, Field(ge=0, le=1)] = Field(
        0.02, description="Non-inferiority: prompt effect's interval must lie above minus this."
    )


class EvaluationPlan(Spec):
    """Which pictures are drawn to judge an adapter, and what the verdict asks."""

    slug: Slug
    prompts: tuple[Prompt, ...] = Field(min_length=4)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    sampling: Sampling = Sampling()
    embedder: Embedder
    margins: Margins = Margins()
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=200, le=100_000)] = Field(4000, description="Bootstrap resamples.")
    bootstrap_seed: int = 0

    @model_validator(mode="after")
    def _distinct(self) -> "EvaluationPlan":
        texts = [prompt.text for prompt in self.prompts]
        if len(set(texts)) < len(texts):
            raise ValueError("two prompts are the same")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("two seeds are the same")
        return self


# --- projects and deployments ------------------------------------------------------------------------------------


class Captioner(Spec):
    """The vision-language model that captions, and how it is asked."""

    source: Source
    max_pixels: Annotated[int, Field(ge=28 * 28)] = Field(
        602_112, description="Pixels of a still as the model sees it."
    )
    max_new_tokens: Annotated[int, Field(ge=4, le=1024)] = 160
    max_words: Annotated[int, Field(ge=5, le=300)] = Field(60, description="Longer captions fail the quality rules.")
    min_words: Annotated[int, Field(ge=1, le=50)] = 3
    dtype: Literal["float32", "bfloat16"] = "bfloat16"


class PlaceholderStills(Spec):
    """Drawn stills that fill an empty store, so that the graph has something to run on.  They are not film stills."""

    per_director: Annotated[int, Field(ge=1, le=1000)] = 36
    captioned_share: Share = Field(0.5, description="Share of stills that get a caption file beside them.")
    seed: int = 0


class Project(Spec):
    """What is made."""

    slug: Slug
    recipes: tuple[Slug, ...] = Field(min_length=1)
    bases: tuple[Slug, ...] = Field((), description="Bases to be trained here, beside those of the recipes.")
    captioner: Captioner
    evaluation: Slug
    directors: Literal["all"] | tuple[Slug, ...] = "all"
    placeholder_stills: PlaceholderStills | None = None
    hub_namespace: Annotated[str, Field(pattern=r"^[\w.-]+$")] = Field(
        "director-diffusion", description="User or organisation that published repositories belong to."
    )


class FolderHub(Spec):
    """Publish into a folder, laid out as repositories."""

    kind: Literal["folder"]
    folder: Text | None = Field(None, description="Folder or fsspec URL; None: `hub/` in the store.")


class Deployment(Spec):
    """Where it runs, never what comes out."""

    slug: Slug
    store: Text = Field(description="Folder or fsspec URL; DIRECTOR_STORE overrides it.")
    executor: Literal["in_process", "multiprocess"] = Field(
        "in_process", description="Of runs that Dagster launches; `director run` is always one process."
    )
    device: Literal["cpu", "cuda"] = "cpu"
    gpus: Annotated[int, Field(ge=0, le=1024)] = Field(0, description="Slots of the `gpu` pool; 0 sets no limit.")
    cpu_threads: PositiveInt | None = Field(
        None, description="Threads of a step's arithmetic on the CPU; None leaves it to the libraries."
    )
    captioning_batch: PositiveInt = 8
    hub: FolderHub
    model_cache: Text | None = Field(None, description="Folder of downloaded models; None: the user's cache.")

    @model_validator(mode="after")
    def _gpus_match_device(self) -> "Deployment":
        if (self.device == "cuda") != (self.gpus > 0):
            raise ValueError(
                f"device {self.device!r} does not go with gpus {self.gpus}: cuda needs 1 or more, cpu needs 0"
            )
        return self
