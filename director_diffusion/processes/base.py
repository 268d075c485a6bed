"""The seam between a training and a base's process."""

from typing import Protocol

import torch
from torch import Tensor

from director_diffusion.specs import Objective, Timesteps

Cells = tuple[int, int]
"""Size of a latent: (height, width)."""


class Process(Protocol):
    """Shapes: images x0 and noise (B, ...), times t (B,), float32."""

    def noisy(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t, of x0's shape."""

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the base predicts of x_t, of x0's shape."""

    def weights(self, t: Tensor, objective: Objective) -> Tensor:
        """What each sample's squared error counts, (B,)."""

    def times(self, normal: Tensor, spec: Timesteps, cells: Cells) -> Tensor:
        """Times that training visits, made of standard normal draws of the same shape, for latents of that size."""

    def at(self, share: float) -> float:
        """The time at this share of the way from image (0) to noise (1)."""

    def to(self, device: torch.device) -> "Process":
        """The same, with its constants on a device."""


def squared_errors(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each sample, (B,), in float32.  Shapes: both (B, ...)."""
    return (prediction.float() - target.float()).square().flatten(1).mean(1)


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """(B,) → (B, 1, ...), to multiply with `like` (B, ...)."""
    return values.view(-1, *(1,) * (like.ndim - 1))
