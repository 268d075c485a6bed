"""Turbo: how a few-step student is made of an adapter."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from director_diffusion.spec_base import PositiveInt, Spec
from director_diffusion.specs.learning import LoraAdapter, Optimizer, Schedule

StepCount = Literal[1, 2, 4, 8]
STEP_COUNTS: tuple[StepCount, ...] = (1, 2, 4, 8)


class SegmentTurbo(Spec):
    """Of flows: a student goes through each segment of its teacher's trajectory in one step.

    Segments as in PeRFlow (Yan et al. 2024), but on whole trajectories of the teacher's, which are kept.

    The teacher is the base with the adapter, under the plan's guidance; a student needs none.
    """

    kind: Literal["segments"] = "segments"
    step_counts: tuple[StepCount, ...] = Field(
        (4,), min_length=1, description="Students: one for each number of steps, with weights of its own."
    )
    teacher_steps: PositiveInt = Field(24, description="Of a whole trajectory; each student's steps share them evenly.")
    trajectories: PositiveInt = Field(4, description="That are learned from, for each prompt, by seeds of their own.")
    followed_at_once: PositiveInt = Field(16, description="Trajectories in a batch; as many as memory takes.")
    adapter: LoraAdapter
    optimizer: Optimizer
    schedule: Schedule = Schedule()
    steps: PositiveInt = Field(description="Optimizer steps on states that the teacher visits.")
    visited_steps: Annotated[int, Field(ge=0)] = Field(
        0, description="Further ones, on states that the student itself has come to, beside the teacher's."
    )
    batch_size: PositiveInt = 1
    checkpoint_every: PositiveInt = Field(description="Optimizer steps between checkpoints.")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    seed: int = 0

    @model_validator(mode="after")
    def _segments_fit(self) -> "SegmentTurbo":
        if len(set(self.step_counts)) < len(self.step_counts):
            raise ValueError("step_counts: two are the same")
        finest = max(STEP_COUNTS)  # whichever are asked for, so that others find the same trajectories
        if self.teacher_steps % finest or self.teacher_steps == finest:
            raise ValueError(
                f"teacher_steps {self.teacher_steps} must be several times {finest}, so that the segments of "
                f"{', '.join(map(str, STEP_COUNTS))} steps end where the teacher's steps do"
            )
        if self.adapter.dora:
            raise ValueError("adapter: a student lies on top of an adapter, where DoRA's magnitudes have no meaning")
        if self.steps <= self.schedule.warmup_steps:
            raise ValueError(f"warmup_steps {self.schedule.warmup_steps} must be below steps {self.steps}")
        return self


Turbo = SegmentTurbo
