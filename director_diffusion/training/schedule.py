"""Schedule: the learning rate of each optimizer step.

Belongs here: pure functions of the step.  A schedule has no state, so a resumed training needs none of it.
"""

import math

from director_diffusion.specs import Schedule


def learning_rate(step: int, spec: Schedule, *, steps: int, peak: float) -> float:
    """Of the optimizer step `step` in 0 … steps - 1.

    Warm-up rises in a straight line and reaches `peak` with its last step; the first step has already moved.  Cosine
    then falls from `peak` towards 0 (Loshchilov and Hutter 2017, eq. 5), which it would reach at `steps`.
    """
    if step < spec.warmup_steps:
        return peak * (step + 1) / spec.warmup_steps
    if spec.kind == "constant":
        return peak
    progress = (step - spec.warmup_steps) / (steps - spec.warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))
