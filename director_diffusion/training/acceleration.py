"""Acceleration: device, precision and processes, by accelerate.

Belongs here: one accelerator for one training, and what its processes add up.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import Tensor

from director_diffusion.errors import TrainingError
from director_diffusion.specs import Recipe

DEVICE_VARIABLE = "ACCELERATE_TORCH_DEVICE"


@contextmanager
def accelerated(recipe: Recipe, device: str) -> Iterator[Accelerator]:
    """An accelerator of this recipe's own, and torch's generators as they were once it is over.

    accelerate keeps its settings as state of the process and refuses others later.  It is put aside meanwhile, so that
    trainings of different precisions, and whatever else uses accelerate, can follow each other in one process.
    """
    kind = torch.device(device).type
    if kind == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            f"device {device}", "is not there", "Choose a deployment with device: cpu, or mend the GPU's driver."
        )
    shared = [state._shared_state for state in (PartialState, AcceleratorState, GradientState)]
    before = [dict(state) for state in shared]
    for state in shared:
        state.clear()
    try:
        with _told_device(device):
            accelerator = Accelerator(
                cpu=device == "cpu",
                mixed_precision="bf16" if recipe.precision == "bfloat16" else "no",
            )
        with torch.random.fork_rng(devices=[accelerator.device] if kind == "cuda" else []):
            yield accelerator
    finally:
        for state, kept in zip(shared, before, strict=True):
            state.clear()
            state.update(kept)


@contextmanager
def _told_device(device: str) -> Iterator[None]:
    """One of several has a number, which accelerate reads from the environment alone."""
    if torch.device(device).index is None:
        yield
        return
    os.environ[DEVICE_VARIABLE] = device
    try:
        yield
    finally:
        del os.environ[DEVICE_VARIABLE]


def sum_over_processes(tensors: Sequence[Tensor], accelerator: Accelerator) -> None:
    """Each tensor becomes its sum over all processes, in one exchange."""
    if accelerator.num_processes == 1:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    summed = cast(Tensor, accelerator.reduce(flat, reduction="sum"))
    for tensor, part in zip(tensors, summed.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def any_process(said: bool, accelerator: Accelerator) -> bool:
    """Whether any of the processes says so; all get the same answer."""
    mine = torch.tensor(float(said), device=accelerator.device)
    return bool(cast(Tensor, accelerator.reduce(mine, reduction="sum")) > 0)
