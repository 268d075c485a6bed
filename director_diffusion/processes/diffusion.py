"""Diffusion by discrete timesteps (DDPM, Ho et al. 2020), in the papers' letters.  t is a timestep 0 … T - 1.

Belongs here: the forward process, the targets and min-SNR weights as pure functions of ᾱ, and `Diffusion`, which shows
them to a training.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from director_diffusion.processes import levels
from director_diffusion.processes.base import Cells, per_sample
from director_diffusion.specs import Objective, Timesteps

Prediction = Literal["epsilon", "v_prediction"]


def diffuse(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t = √ᾱ x0 + √(1 - ᾱ) noise (Ho et al. 2020, eq. 4).  Shapes: x0 and noise (B, ...), ᾱ (B,)."""
    alpha_bar = per_sample(alpha_bar, x0)
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise


def v_target(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """v = √ᾱ noise - √(1 - ᾱ) x0 (Salimans and Ho 2022, section 4).  Shapes as in `diffuse`."""
    alpha_bar = per_sample(alpha_bar, x0)
    return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * x0


def signal_to_noise(alpha_bar: Tensor) -> Tensor:
    """SNR = ᾱ / (1 - ᾱ).  Any shape."""
    return alpha_bar / (1 - alpha_bar)


def min_snr_weights(alpha_bar: Tensor, gamma: float, prediction: Prediction) -> Tensor:
    """min(SNR, gamma) as a weight on x0's error, told in what is predicted (Hang et al. 2023, section 3.4).

    The error of x0 is that of epsilon divided by SNR, and that of v divided by SNR + 1.  Any shape; SNRs may be 0.
    """
    snr = signal_to_noise(alpha_bar)
    return (gamma / snr).clamp(max=1) if prediction == "epsilon" else snr.clamp(max=gamma) / (snr + 1)


@dataclass(frozen=True)
class Diffusion:
    """See `base.Process`.  `alpha_bar` is ᾱ of every timestep, (T,), float32, falling."""

    alpha_bar: Tensor
    prediction: Prediction

    def noisy(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return diffuse(x0, noise, self._of(t))

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise if self.prediction == "epsilon" else v_target(x0, noise, self._of(t))

    def weights(self, t: Tensor, objective: Objective) -> Tensor:
        if objective.min_snr_gamma is None:
            return torch.ones_like(t)
        return min_snr_weights(self._of(t), objective.min_snr_gamma, self.prediction)

    def times(self, normal: Tensor, spec: Timesteps, cells: Cells) -> Tensor:
        if spec.kind == "style_friendly":
            return self._with_log_snr(levels.log_snr(normal, spec))
        level = levels.uniform(normal) if spec.kind == "uniform" else levels.logit_normal(normal, spec)
        level = levels.shifted(level, levels.shift_of(spec, 1.0))
        return (level * len(self.alpha_bar)).floor().clamp(max=len(self.alpha_bar) - 1)

    def at(self, share: float) -> float:
        return float(round(share * (len(self.alpha_bar) - 1)))

    def to(self, device: torch.device) -> "Diffusion":
        return replace(self, alpha_bar=self.alpha_bar.to(device))

    def _with_log_snr(self, wanted: Tensor) -> Tensor:
        """The timesteps whose log-SNR is nearest."""
        return (wanted[..., None].double() - self._log_snr).abs().argmin(-1).float()

    @cached_property
    def _log_snr(self) -> Tensor:
        """Of every timestep, on the CPU, where samples are drawn: to bring it there for each would wait for a GPU."""
        return signal_to_noise(self.alpha_bar.double().cpu()).log()

    def _of(self, t: Tensor) -> Tensor:
        return self.alpha_bar[t.long()]
