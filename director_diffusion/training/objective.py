"""Objective: rectified flow (Liu et al. 2022), in the papers' letters.

Belongs here: the forward process, the target and the loss, as pure functions.  t is the noise level sigma in [0, 1]:
0 is the image, 1 is noise.
"""

from torch import Tensor


def interpolate(x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t) x0 + t noise.  Shapes: x0 and noise (B, ...), t (B,)."""
    t = t.view(-1, *(1,) * (x0.ndim - 1))
    return (1 - t) * x0 + t * noise


def velocity_target(x0: Tensor, noise: Tensor) -> Tensor:
    """Velocity of the straight path x_t = (1 - t) x0 + t noise (Liu et al. 2022, eq. 1).  Shapes: both (B, ...)."""
    return noise - x0


def flow_loss(velocity: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each sample, (B,), in float32.  Shapes: both (B, ...)."""
    return (velocity.float() - target.float()).square().flatten(1).mean(1)
