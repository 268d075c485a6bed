"""Reload: is the file what was trained?

Belongs here: loading an adapter's file with diffusers into a fresh base, and comparing predictions.  What is close
enough is said in `checks`.
"""

from pathlib import Path

import torch
from diffusers import ModelMixin
from diffusers.training_utils import cast_training_params
from safetensors import safe_open
from torch import Tensor

from director_diffusion.specs import Recipe
from director_diffusion.training.data import Batch
from director_diffusion.training.rows import Reload
from director_diffusion.training.trainee import Trainee


@torch.no_grad()
def predict_as_served(trainee: Trainee, batch: Batch, recipe: Recipe) -> Tensor:
    """The trained model's own prediction, its adapter first cast to the base's dtype as diffusers casts it.

    The adapter stays cast: for the end of a training.
    """
    cast_training_params(trainee.denoiser, getattr(torch, recipe.precision))
    trainee.denoiser.eval()
    return trainee.velocity(batch)


@torch.no_grad()
def measure_reload(fresh: Trainee, batch: Batch, adapter: Path, trained: Tensor) -> Reload:
    """Load `adapter` into a base that has none, and set its prediction against `trained`."""
    base = fresh.velocity(batch)
    load_adapter(fresh.denoiser, adapter)
    reloaded = fresh.velocity(batch)
    return Reload(base=_rms(base), effect=_rms(trained - base), difference=_rms(reloaded - trained))


def load_adapter(denoiser: ModelMixin, adapter: Path) -> None:
    """Load a file with diffusers' own loader of single models.  The file's names begin with the model's role."""
    with safe_open(adapter, framework="pt") as file:
        role = next(iter(file.keys())).split(".", 1)[0]
    denoiser.load_lora_adapter(adapter.parent, weight_name=adapter.name, prefix=role, local_files_only=True)


def _rms(values: Tensor) -> float:
    return values.square().mean().sqrt().item()
