"""Reload: is the file what was trained?

Belongs here: loading an adapter's file into the base without it, and comparing predictions.  What is close enough is
said in `checks`.
"""

from pathlib import Path

import torch
from diffusers.training_utils import cast_training_params
from torch import Tensor

from director_diffusion.adapters.files import load_adapter, remove_adapter
from director_diffusion.adapters.stacking import load_stack
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
    return trainee.predict(batch)


@torch.no_grad()
def measure_reload(trainee: Trainee, batch: Batch, adapter: Path, trained: Tensor) -> Reload:
    """Take the trained adapter away, load the file `adapter` as users do, and set its prediction against `trained`."""
    remove_adapter(trainee.denoiser)
    base = trainee.predict(batch)
    load_adapter(trainee.denoiser, adapter)
    reloaded = trainee.predict(batch)
    return Reload(base=_rms(base), effect=_rms(trained - base), difference=_rms(reloaded - trained))


@torch.no_grad()
def measure_worn(bare: Trainee, batch: Batch, adapter: Path, student: Path, trained: Tensor) -> Reload:
    """Load `adapter` and the file `student` on top of it into the bare base, and set the prediction against `trained`.

    `base` is the adapter's own prediction here, and `effect` what the student changes of it.  Nothing stays loaded.
    """
    load_stack(bare.denoiser, [adapter])
    before = bare.predict(batch)
    remove_adapter(bare.denoiser)
    load_stack(bare.denoiser, [adapter, student])
    reloaded = bare.predict(batch)
    remove_adapter(bare.denoiser)
    return Reload(base=_rms(before), effect=_rms(trained - before), difference=_rms(reloaded - trained))


def _rms(values: Tensor) -> float:
    return values.square().mean().sqrt().item()
