"""The trainee: a denoiser with an adapter, seen through its family.

Belongs here: the one way in which training, held-out loss and checks ask it for a prediction.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import ModelMixin
from torch import Tensor

from director_diffusion.families import get_family
from director_diffusion.families.base import Family
from director_diffusion.specs import Base, Recipe
from director_diffusion.training.data import Batch
from director_diffusion.training.objective import flow_loss, interpolate, velocity_target


@dataclass(frozen=True)
class Trainee:
    """A denoiser on the accelerator's device, with what its predictions depend on."""

    denoiser: ModelMixin
    family: Family
    folder: Path
    guidance: float
    accelerator: Accelerator

    def resolution_shift(self, height: int, width: int) -> float:
        """The base's sigma shift for (height, width) latent cells."""
        return self.family.sigma_shift(self.folder, height=height, width=width)

    def velocity(self, batch: Batch) -> Tensor:
        """Prediction (B, C, h, w), float32, at the batch's own noise levels."""
        batch = batch.to(self.accelerator.device)
        return self._predict(self.family.normalise(self.folder, batch.latents), batch)

    def losses(self, batch: Batch) -> Tensor:
        """The objective of each sample, (B,)."""
        batch = batch.to(self.accelerator.device)
        x0 = self.family.normalise(self.folder, batch.latents)
        return flow_loss(self._predict(x0, batch), velocity_target(x0, batch.noise))

    def _predict(self, x0: Tensor, batch: Batch) -> Tensor:
        x_t = interpolate(x0, batch.noise, batch.sigma)
        with self.accelerator.autocast():
            return self.family.predict(self.denoiser, x_t, batch.sigma, batch.prompt, self.guidance)


def load_trainee(base: Base, recipe: Recipe, folder: Path, accelerator: Accelerator) -> Trainee:
    """The frozen base in the recipe's precision, with no adapter yet."""
    family = get_family(base.family)
    denoiser: ModelMixin = family.load_denoiser(
        folder, device=str(accelerator.device), dtype=getattr(torch, recipe.precision)
    )
    if recipe.gradient_checkpointing:
        denoiser.enable_gradient_checkpointing()
    return Trainee(denoiser, family, folder, base.guidance.train, accelerator)
