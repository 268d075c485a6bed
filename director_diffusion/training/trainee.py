"""The trainee: a denoiser with an adapter, seen through its family.

Belongs here: the one way in which training, held-out loss and checks ask it for a prediction.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import ModelMixin
from torch import Tensor

from director_diffusion.families import get_family
from director_diffusion.families.base import Family, LatentScale
from director_diffusion.processes import Process
from director_diffusion.processes.base import squared_errors
from director_diffusion.specs import Base, Objective, Recipe
from director_diffusion.training.data import Batch

AsAverage = Callable[[], AbstractContextManager[None]]
"""Inside it the adapter holds the average of its weights."""


@dataclass(frozen=True)
class Trainee:
    """A denoiser on the accelerator's device, with what its predictions and their loss depend on."""

    denoiser: ModelMixin
    family: Family
    process: Process
    scale: LatentScale
    objective: Objective
    guidance: float
    accelerator: Accelerator

    def predict(self, batch: Batch) -> Tensor:
        """Prediction (B, C, h, w), float32, of the process's target at the batch's own times."""
        batch = batch.to(self.accelerator.device)
        return self._predict(self.scale.normalise(batch.latents), batch)

    def losses(self, batch: Batch) -> Tensor:
        """The objective of each sample, (B,)."""
        batch = batch.to(self.accelerator.device)
        x0 = self.scale.normalise(batch.latents)
        errors = squared_errors(self._predict(x0, batch), self.process.target(x0, batch.noise, batch.t))
        return errors * self.process.weights(batch.t, self.objective)

    def step_losses(self, batch: Batch, as_average: AsAverage) -> Tensor:
        """What an optimizer step descends, of each sample, (B,): the objective, unless a training has another."""
        return self.losses(batch)

    @torch.no_grad()
    def trivial_losses(self, batch: Batch) -> Tensor:
        """The objective of each sample where the answer is always zero, (B,): sound denoisers stay below it."""
        batch = batch.to(self.accelerator.device)
        target = self.process.target(self.scale.normalise(batch.latents), batch.noise, batch.t)
        return squared_errors(torch.zeros_like(target), target) * self.process.weights(batch.t, self.objective)

    def _predict(self, x0: Tensor, batch: Batch) -> Tensor:
        x_t = self.process.noisy(x0, batch.noise, batch.t)
        with self.accelerator.autocast():
            return self.family.predict(self.denoiser, x_t, batch.t, batch.conditions, self.guidance)


def load_trainee(base: Base, recipe: Recipe, folder: Path, accelerator: Accelerator) -> Trainee:
    """The frozen base in the recipe's precision, with no adapter yet."""
    family = get_family(base.family)
    denoiser: ModelMixin = family.load_denoiser(
        folder,
        device=str(accelerator.device),
        dtype=getattr(torch, recipe.precision),
        quantised=recipe.quantised_base,
    )
    return Trainee(
        denoiser=denoiser,
        family=family,
        process=family.process(folder).to(accelerator.device),
        scale=family.latent_scale(folder),
        objective=recipe.objective,
        guidance=base.guidance.train,
        accelerator=accelerator,
    )
