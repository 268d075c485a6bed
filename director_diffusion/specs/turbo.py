"""Turbo: how a few-step student is made of an adapter."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from director_diffusion.spec_base import PositiveInt, Seed, Spec, Text
from director_diffusion.specs.bases import FolderSource, HubSource
from director_diffusion.specs.learning import LoraAdapter, Optimizer, Schedule

StepCount = Literal[1, 2, 4, 8]
STEP_COUNTS: tuple[StepCount, ...] = (1, 2, 4, 8)
FINEST_COUNT = max(STEP_COUNTS)
"""Of the finest student: all students' trajectories have its points, so that others find the same ones."""

FewStepScheduler = Literal["lcm", "euler", "ddim"]
"""Schedulers of diffusers by which few-step weights of UNets are drawn, at trailing timesteps."""


class _Turbo(Spec):
    """What students of either kind take.  The teacher is the base with the adapter, under the plan's guidance."""

    step_counts: tuple[StepCount, ...] = Field(
        (4,), min_length=1, description="Students: one for each number of steps."
    )
    followed_at_once: PositiveInt = Field(16, description="Trajectories in a batch; as many as memory takes.")
    adapter: LoraAdapter
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    steps: PositiveInt
    batch_size: PositiveInt = 1
    checkpoint_every: PositiveInt = Field(description="Optimizer steps between checkpoints.")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    seed: Seed = 0

    @model_validator(mode="after")
    def _courses_fit(self) -> Self:
        if len(set(self.step_counts)) < len(self.step_counts):
            raise ValueError("step_counts: two are the same")
        if self.adapter.dora:
            raise ValueError("adapter: a student lies on top of an adapter, where DoRA's magnitudes have no meaning")
        if self.steps <= self.schedule.warmup_steps:
            raise ValueError(f"warmup_steps {self.schedule.warmup_steps} must be below steps {self.steps}")
        return self


class SegmentTurbo(_Turbo):
    """Of flows: a student goes through each segment of its teacher's trajectory in one step.

    Segments as in PeRFlow (Yan et al. 2024), but on whole trajectories of the teacher's, which are kept.  Each number
    of steps has a student with weights of its own; it needs no guidance.
    """

    kind: Literal["segments"] = "segments"
    teacher_steps: PositiveInt = Field(24, description="Of a whole trajectory; each student's steps share them evenly.")
    trajectories: PositiveInt = Field(4, description="That are learned from, for each prompt, by seeds of their own.")
    steps: PositiveInt = Field(description="Optimizer steps on states that the teacher visits.")
    visited_steps: Annotated[int, Field(ge=0)] = Field(
        0, description="Further ones, on states that the student itself has come to, beside the teacher's."
    )

    @model_validator(mode="after")
    def _segments_fit(self) -> Self:
        if self.teacher_steps % FINEST_COUNT or self.teacher_steps == FINEST_COUNT:
            raise ValueError(
                f"teacher_steps {self.teacher_steps} must be several times {FINEST_COUNT}, so that the segments of "
                f"{', '.join(map(str, STEP_COUNTS))} steps end where the teacher's steps do"
            )
        return self


class StockWeights(Spec):
    """Others' few-step LoRA of the base, stacked on the adapter in a student's place: the baseline to beat."""

    source: Annotated[HubSource | FolderSource, Field(discriminator="kind")]
    weights: Text = Field(
        "pytorch_lora_weights.safetensors", description="The file in it, in any layout that diffusers reads."
    )
    scheduler: FewStepScheduler = Field("lcm", description="That it was made for; it draws without guidance.")

    @property
    def only_weights(self) -> HubSource | FolderSource:
        """The source, of a repository nothing but the file."""
        only = {"weights": self.weights} if isinstance(self.source, HubSource) else {}
        return self.source.model_copy(update=only)


class ConsistencyTurbo(_Turbo):
    """Of sdxl and sd15: a student goes from any state to its trajectory's end (Luo et al. 2023, LCM-LoRA).

    One student serves all numbers of steps: each has a file, with the same weights.  diffusers' LCMScheduler draws with
    it, without guidance.
    """

    kind: Literal["consistency"]
    teacher_steps: Literal[50, 100, 200, 250, 500] = Field(
        50,
        description="Of the DDIM solver's whole trajectory: the timesteps that LCMScheduler draws at are among those.",
    )
    steps: PositiveInt = Field(description="Optimizer steps.")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.95, description="Of the average that the student is held to, and that is kept. 0: of its own weights."
    )
    huber_c: Annotated[float, Field(gt=0, le=1)] | None = Field(
        0.001, description="Of the pseudo-Huber loss (Song and Dhariwal 2024). None: plain L2."
    )
    baseline: StockWeights | None = Field(  # no student is to know of it
        None, exclude=True, description="Drawn and judged beside the students. None: nothing is."
    )

    @model_validator(mode="after")
    def _no_dropout(self) -> Self:
        if self.adapter.dropout:
            raise ValueError("adapter.dropout: what a student is held to would be dropped too, and otherwise")
        return self


def _first_kind(given: Any) -> Any:
    """Files need not name it."""
    return {"kind": "segments", **given} if isinstance(given, dict) else given


Turbo = Annotated[SegmentTurbo | ConsistencyTurbo, Field(discriminator="kind"), BeforeValidator(_first_kind)]
