"""Segments: pieces of a trajectory, in the papers' letters.

Belongs here: pure functions of states x_t and sigmas t (1 is noise, 0 the picture).  Who visits the states is
`teacher`'s and `visits`' matter.
"""

from torch import Tensor

from director_diffusion.processes.base import per_sample


def mean_velocity(x_a: Tensor, x_b: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """What a single Euler step from x_a at sigma a must go by to arrive at x_b at b: (x_b − x_a) / (b − a).

    The mean of the velocity over the segment.  Shapes: states (B, ...), sigmas (B,).
    """
    return (x_b - x_a) / per_sample(b - a, x_a)


def as_pair(x_t: Tensor, velocity: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Image and noise (x0, noise) of the straight path that goes through x_t with this velocity.

    x_t = (1 − t) x0 + t noise and noise − x0 = velocity, so a flow's training on the pair is the L2 loss on velocity
    at x_t.  Shapes: states and velocity (B, ...), t (B,).
    """
    t = per_sample(t, x_t)
    return x_t - t * velocity, x_t + (1 - t) * velocity
