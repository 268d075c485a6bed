"""Recipes: how an adapter is made of a base.

Belongs here: samplers of noise levels, what the loss asks, and what it takes beside stills.  What learns, and how, is
`learning`'s; few-step students of an adapter are `turbo`'s.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from director_diffusion.spec_base import PositiveInt, Seed, Share, Slug, Spec
from director_diffusion.specs.learning import Adapter, Optimizer, Schedule
from director_diffusion.specs.turbo import ConsistencyTurbo, StockWeights, Turbo

# --- what is asked -----------------------------------------------------------------------------------------------


class Timesteps(Spec):
    """Which noise levels training visits.

    `logit_normal` (Esser et al. 2024): a level's logit is normal. `style_friendly` (Choi et al. 2024): its log-SNR is,
    far on the noisy side, where style is decided. `uniform`: every level alike.
    """

    kind: Literal["logit_normal", "style_friendly", "uniform"] = "logit_normal"
    mean: float | None = Field(None, description="None: 0 for logit_normal, -6 (log-SNR) for style_friendly.")
    std: Annotated[float, Field(gt=0, le=10)] | None = Field(
        None, description="None: 1 for logit_normal, 2 for style_friendly."
    )
    shift: Literal["resolution", "none"] | Annotated[float, Field(gt=0, le=100)] = Field(
        "resolution",
        description="How far levels are moved towards noise: as the base's own sampling shifts them for so many "
        "latent cells (not at all where it does not), not at all, or by this factor. Those of style_friendly are never "
        "moved: its log-SNR is told.",
    )

    @model_validator(mode="after")
    def _takes_what_it_reads(self) -> "Timesteps":
        if self.kind == "uniform" and (self.mean is not None or self.std is not None):
            raise ValueError("kind uniform takes neither mean nor std")
        if self.kind == "style_friendly" and not isinstance(self.shift, str):
            raise ValueError("kind style_friendly takes no factor for shift: its mean and std tell the log-SNR itself")
        return self


class Objective(Spec):
    """What the loss asks of bases that go by discrete timesteps (sdxl, sd15); those of a flow take the defaults."""

    min_snr_gamma: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None, description="Weigh timesteps by min(SNR, gamma) (Hang et al. 2023); 5 is usual."
    )
    noise_offset: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Noise added to whole channels, for pictures much darker or lighter than grey; 0.05 is usual."
    )


class HeldOut(Spec):
    """The held-out loss: fixed noise levels and fixed noise, so that checkpoints compare."""

    levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.15, 0.35, 0.55, 0.75, 0.95),
        min_length=1,
        description="Of a flow its sigmas, of a diffusion shares of its timesteps.",
    )
    noises: PositiveInt = Field(1, description="Noise draws per still and noise level.")


class Prior(Spec):
    """Prior preservation (Ruiz et al. 2023): pictures by the bare base, under captions without the trigger."""

    pictures: Annotated[int, Field(ge=1, le=2000)] = 32
    steps: Annotated[int, Field(ge=1, le=200)] = Field(28, description="Sampling steps of a picture.")
    weight: Annotated[float, Field(gt=0, le=10)] = Field(1.0, description="Of the pictures' loss beside the stills'.")
    seed: Seed = 0


class Joint(Spec):
    """One adapter of all directors beside those of each: a trigger each, and as many samples each."""

    steps: PositiveInt | None = Field(
        None, description="Optimizer steps, over all directors' stills. None: as many as for one director."
    )
    adapter: Adapter | None = Field(None, description="A larger one, say. None: as for one director.")
    optimizer: Optimizer | None = Field(None, description="None: as for one director.")


# --- the recipe --------------------------------------------------------------------------------------------------


class Recipe(Spec):
    """How an adapter is made of a base."""

    slug: Slug
    base: Slug
    adapter: Adapter
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    timesteps: Timesteps = Timesteps()
    objective: Objective = Objective()
    held_out: HeldOut = HeldOut()
    steps: PositiveInt = Field(description="Optimizer steps.")
    batch_size: PositiveInt = 1
    gradient_accumulation: PositiveInt = 1
    caption_dropout: Share = Field(0.1, description="Share of samples trained on the empty prompt.")
    prior: Prior | None = Field(None, description="None: no prior preservation.")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(0.99, description="0 keeps no moving average.")
    checkpoint_every: PositiveInt = Field(description="Optimizer steps between checkpoints.")
    init_from: Slug | None = Field(
        None, description="A recipe whose adapter of the same director this one starts from."
    )
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    quantised_base: Literal["nf4"] | None = Field(
        None, description="Hold the base's linears in 4 bits (NF4, Dettmers et al. 2023): for a GPU of 24 GB."
    )
    activation_gib: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Memory for activations: as few blocks as it takes are computed again. None: none are."
    )
    compiled: bool = Field(False, description="Compile the repeated blocks; meant for a GPU.")
    seed: Seed = 0
    # What is made beside the adapter, or of it: no hash, header or card of the adapter itself is to know of these.
    turbo: Turbo | None = Field(
        None, exclude=True, description="Few-step students of the adapter. None: none are made."
    )
    joint: Joint | None = Field(
        None, exclude=True, description="One adapter of all directors too (`director joint`). None: none is made."
    )

    @model_validator(mode="after")
    def _warmup_fits(self) -> "Recipe":
        if self.schedule.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps {self.schedule.warmup_steps} must be below steps {self.steps}")
        if self.joint is not None and self.schedule.warmup_steps >= (self.joint.steps or self.steps):
            raise ValueError(f"warmup_steps {self.schedule.warmup_steps} must be below joint.steps {self.joint.steps}")
        return self

    @property
    def baseline(self) -> StockWeights | None:
        """Others' weights that its students are set beside, if any."""
        return self.turbo.baseline if isinstance(self.turbo, ConsistencyTurbo) else None

    def of_all(self) -> "Recipe":
        """The recipe of the training on all directors' stills."""
        asked = {name: getattr(self.joint, name, None) for name in Joint.model_fields}
        given = {name: value for name, value in asked.items() if value is not None}
        return self.model_copy(update={**given, "joint": None, "turbo": None})
