"""Acceleration: device, precision and gradient accumulation, by accelerate.

Belongs here: one accelerator for one training.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from director_diffusion.errors import TrainingError
from director_diffusion.specs import Recipe


@contextmanager
def accelerated(recipe: Recipe, device: str) -> Iterator[Accelerator]:
    """An accelerator of this recipe's own, and torch's generators as they were once it is over.

    accelerate keeps its settings as state of the process and refuses others later.  It is put aside meanwhile, so that
    trainings of different precisions, and whatever else uses accelerate, can follow each other in one process.
    """
    shared = [state._shared_state for state in (PartialState, AcceleratorState, GradientState)]
    before = [dict(state) for state in shared]
    for state in shared:
        state.clear()
    try:
        accelerator = Accelerator(
            cpu=device == "cpu",
            mixed_precision="bf16" if recipe.precision == "bfloat16" else "no",
            gradient_accumulation_steps=recipe.gradient_accumulation,
        )
        if accelerator.device.type != device:
            raise TrainingError(
                f"device {device}", "is not there", "Choose a deployment with device: cpu, or mend the GPU's driver."
            )
        with torch.random.fork_rng(devices=[accelerator.device] if device == "cuda" else []):
            yield accelerator
    finally:
        for state, kept in zip(shared, before, strict=True):
            state.clear()
            state.update(kept)
