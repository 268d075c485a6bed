"""Rectified flow (Liu et al. 2022), in the papers' letters.  t is the noise level sigma: 0 is the image, 1 is noise.

Belongs here: the forward process and the target as pure functions, and `Flow`, which shows them to a training.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from director_diffusion.processes import levels
from director_diffusion.processes.base import Cells, per_sample
from director_diffusion.specs import Objective, Timesteps


def interpolate(x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) x0 + t noise.  Shapes: x0 and noise (B, ...), t (B,)."""
    t = per_sample(t, x0)
    return (1 - t) * x0 + t * noise


def velocity_target(x0: Tensor, noise: Tensor) -> Tensor:
    """Velocity of the straight path x_t = (1 - t) x0 + t noise (Liu et al. 2022, eq. 1).  Shapes: both (B, ...)."""
    return noise - x0


def sigmas(normal: Tensor, spec: Timesteps, resolution_shift: float) -> Tensor:
    """Sigmas of standard normal draws.  Any shape.

    A flow's SNR is ((1 - sigma) / sigma)², so a log-SNR of λ is the logit -λ/2.  Where log-SNRs are told, nothing is
    left to shift.
    """
    if spec.kind == "style_friendly":
        return torch.sigmoid(-levels.log_snr(normal, spec) / 2)
    sigma = levels.uniform(normal) if spec.kind == "uniform" else levels.logit_normal(normal, spec)
    return levels.shifted(sigma, levels.shift_of(spec, resolution_shift))


@dataclass(frozen=True)
class Flow:
    """See `base.Process`.  `shift` gives the base's own sigma shift for latents of a size."""

    shift: Callable[[Cells], float]

    def grid(self, steps: int, cells: Cells) -> Tensor:
        """Sigmas (steps + 1,), from 1 to 0, that the base's pipelines go through in so many steps.

        Even ones, 1 to 1 / steps, shifted as the base shifts them, and 0: so the grid of fewer steps is part of that of
        any multiple of them.
        """
        even = torch.linspace(1, 1 / steps, steps, dtype=torch.float64)
        return torch.cat([levels.shifted(even, self.shift(cells)), torch.zeros(1)]).float()

    def noisy(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return interpolate(x0, noise, t)

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return velocity_target(x0, noise)

    def weights(self, t: Tensor, objective: Objective) -> Tensor:
        return torch.ones_like(t)

    def times(self, normal: Tensor, spec: Timesteps, cells: Cells) -> Tensor:
        return sigmas(normal, spec, self.shift(cells))

    def at(self, share: float) -> float:
        return share

    def to(self, device: torch.device) -> "Flow":
        return self
