"""Measuring optimizer steps: the very trainee, batches and state of a training, on given data.

Belongs here: warming up, timing and memory.
"""

import resource
import time
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from diffusers import ModelMixin

from director_diffusion.adapters.injection import adapter_parameters, inject_adapter
from director_diffusion.families import get_family
from director_diffusion.families.base import LatentScale
from director_diffusion.processes import Diffusion, Flow, Process
from director_diffusion.progress import Silent
from director_diffusion.specs import Recipe
from director_diffusion.training.acceleration import accelerated
from director_diffusion.training.batches import Prefetched, TrainingBatches
from director_diffusion.training.compilation import compiled_blocks
from director_diffusion.training.data import Dataset
from director_diffusion.training.loop import fit_memory
from director_diffusion.training.memory import GIB
from director_diffusion.training.state import TrainingState
from director_diffusion.training.trainee import Trainee


@dataclass(frozen=True)
class Measured:
    """What steps cost."""

    seconds_per_sample: float
    device_gib: float | None  # of the whole device, its driver's own included; None on a CPU
    host_gib: float  # peak of this process
    trainable: int
    recomputed_blocks: int
    loss: float


def measure_steps(
    denoiser: ModelMixin, family: str, data: Dataset, recipe: Recipe, *, device: str, steps: int, warm_up: int
) -> Measured:
    """Train `warm_up + steps` optimizer steps and time the last `steps`."""
    recipe = recipe.model_copy(update={"steps": warm_up + steps})
    with accelerated(recipe, device) as accelerator:
        trainee = _trainee(denoiser, family, recipe, accelerator)
        targets = trainee.family.target_modules(denoiser, recipe.adapter.targets)
        inject_adapter(denoiser, recipe.adapter, targets)
        state = TrainingState(trainee, recipe, Silent())
        batches = TrainingBatches(data, recipe, trainee.process)
        recomputed = fit_memory(trainee, recipe, batches)
        started = 0.0
        blocks = compiled_blocks(denoiser, recipe)
        for batch in Prefetched(batches, 0, recipe.steps, accelerator.device):
            if state.step == warm_up:
                _wait(device)
                started = time.perf_counter()
            with blocks:
                state.learn(batch, batches.stills_of(state.step))
        _wait(device)
        seconds = time.perf_counter() - started
        state.curve.read()
        free, total = torch.cuda.mem_get_info() if device == "cuda" else (0, 0)
        return Measured(
            seconds_per_sample=seconds / (steps * recipe.batch_size * recipe.gradient_accumulation),
            device_gib=(total - free) / GIB if device == "cuda" else None,
            host_gib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB,
            trainable=sum(parameter.numel() for parameter in adapter_parameters(denoiser).values()),
            recomputed_blocks=recomputed,
            loss=state.curve.points[-1].loss or 0.0,
        )


def _trainee(denoiser: ModelMixin, family: str, recipe: Recipe, accelerator: Accelerator) -> Trainee:
    return Trainee(
        denoiser=denoiser,
        family=get_family(family),
        process=_process(family).to(accelerator.device),
        scale=LatentScale(0.0, 1.0),
        objective=recipe.objective,
        guidance=1.0,
        accelerator=accelerator,
    )


def _process(family: str) -> Process:
    if family.startswith("flux"):
        return Flow(lambda cells: 3.0)
    return Diffusion(torch.linspace(0.999, 0.005, 1000), "epsilon")


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
