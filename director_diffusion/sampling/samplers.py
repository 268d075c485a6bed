"""Samplers: how many steps an arm is drawn in, at which size and guidance.  Imports no torch."""

from dataclasses import dataclass, replace
from typing import Any

from director_diffusion.latents.buckets import nearest
from director_diffusion.sampling.rows import FEW_STEP_ARMS, Arm
from director_diffusion.specs import FLOWS, Base, EvaluationPlan, FewStepScheduler, StepCount


@dataclass(frozen=True)
class Sampler:
    """Settings that, with model, prompt and seed, decide every pixel."""

    width: int
    height: int
    steps: int
    guidance: float
    scheduler: FewStepScheduler | None = None  # in place of the base's own

    @property
    def told(self) -> dict[str, Any]:
        """As pictures are named by it in caches."""
        return {name: value for name, value in vars(self).items() if value is not None}


def plan_sampler(plan: EvaluationPlan, base: Base) -> Sampler:
    """The plan's settings on this base: its bucket nearest to the plan's aspect, and its guidance where none is set."""
    bucket = nearest(base.resolution, plan.sampling.aspect)
    guidance = base.guidance.sample if plan.sampling.guidance is None else plan.sampling.guidance
    return Sampler(width=bucket.width, height=bucket.height, steps=plan.sampling.steps, guidance=guidance)


def arm_sampler(arm: Arm, plan: EvaluationPlan, base: Base) -> Sampler:
    """The plan's; of a few-step student its own number of steps, without guidance that would cost as much again."""
    sampler = plan_sampler(plan, base)
    count = FEW_STEP_ARMS.get(arm)
    return sampler if count is None else few_steps(sampler, base, count)


def few_steps(sampler: Sampler, base: Base, count: StepCount) -> Sampler:
    """A student's: guidance that is an input of the base costs nothing and stays as its teacher had it.

    Classifier-free guidance is off at 1 (the paper's w = 0).  Students of a UNet are consistent: LCMScheduler draws.
    """
    return replace(
        sampler,
        steps=count,
        guidance=1.0 if base.guidance.kind == "classifier_free" else sampler.guidance,
        scheduler=None if base.family in FLOWS else "lcm",
    )
