"""Levels: distributions of noise levels in (0, 1), as pure functions of standard normal draws.

Belongs here: what processes share.  A level is turned into a process's own time by the process.
"""

import torch
from torch import Tensor

from director_diffusion.specs import Timesteps

LOGIT_NORMAL = (0.0, 1.0)  # mean and standard deviation of a level's logit
STYLE_FRIENDLY = (-6.0, 2.0)  # of a level's log-SNR (Choi et al. 2024, section 3.2)
EDGE = 1e-5  # uniform levels keep this far from 0 and 1


def shifted(level: Tensor, shift: float) -> Tensor:
    """sigma' = s·sigma / (1 + (s - 1)·sigma): more noise for more tokens (Esser et al. 2024, eq. 23).  Any shape."""
    return shift * level / (1 + (shift - 1) * level)


def logit_normal(normal: Tensor, spec: Timesteps) -> Tensor:
    """Levels whose logit is normal (Esser et al. 2024, section 3.1).  Any shape."""
    mean, std = _shape(spec, LOGIT_NORMAL)
    return torch.sigmoid(mean + std * normal)


def log_snr(normal: Tensor, spec: Timesteps) -> Tensor:
    """Log-SNRs of the style-friendly sampler (Choi et al. 2024, eq. 7): normal.  Any shape."""
    mean, std = _shape(spec, STYLE_FRIENDLY)
    return mean + std * normal


def uniform(normal: Tensor) -> Tensor:
    """Uniform levels: a draw's own quantile.  Any shape."""
    return torch.special.ndtr(normal).clamp(EDGE, 1 - EDGE)


def shift_of(spec: Timesteps, resolution_shift: float) -> float:
    """The factor that a spec asks for, where the base's own is `resolution_shift`."""
    if spec.shift == "resolution":
        return resolution_shift
    return 1.0 if spec.shift == "none" else spec.shift


def _shape(spec: Timesteps, usual: tuple[float, float]) -> tuple[float, float]:
    mean, std = usual
    return mean if spec.mean is None else spec.mean, std if spec.std is None else spec.std
