"""Timesteps: which noise levels training visits.

Belongs here: distributions of sigma in (0, 1), as pure functions of standard normal draws.
"""

import torch
from torch import Tensor

from director_diffusion.specs import Timesteps


def shifted(sigma: Tensor, shift: float) -> Tensor:
    """sigma' = s·sigma / (1 + (s - 1)·sigma): more noise for more tokens (Esser et al. 2024, eq. 23).  Any shape."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def noise_levels(normal: Tensor, spec: Timesteps, resolution_shift: float) -> Tensor:
    """Logit-normal sigmas (Esser et al. 2024, section 3.1) of standard normal draws.  Any shape."""
    sigma = torch.sigmoid(spec.mean + spec.std * normal)
    return shifted(sigma, resolution_shift if spec.shift == "resolution" else 1.0)
