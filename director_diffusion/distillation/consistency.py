"""Latent consistency, in the paper's letters (Luo et al. 2023, "Latent Consistency Models").

Belongs here: pure functions of states x_t and timesteps t of a diffusion, and `Solver`, which steps along the augmented
probability-flow ODE.  Who is asked for predictions is `consistent`'s matter.

A consistency function takes every state of a trajectory to the trajectory's end: f(x_t, t) = x_0 for all t.  t_n are
the solver's timesteps, k the base's timesteps between two of them, ᾱ = α² and 1 - ᾱ = σ² of the paper.
"""

from dataclasses import dataclass
from typing import cast

from diffusers import LCMScheduler
from torch import Tensor

from director_diffusion.processes import Diffusion, levels
from director_diffusion.processes.base import Cells, per_sample
from director_diffusion.processes.diffusion import Prediction
from director_diffusion.specs import Timesteps

SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0
"""Both as diffusers' LCMScheduler has them, by which students are sampled."""


def boundary_scalings(t: Tensor) -> tuple[Tensor, Tensor]:
    """(c_skip, c_out) of f(x, t) = c_skip x + c_out x_0, so that f(x, 0) = x (Luo et al. 2023, section 3).

    c_skip = σ_data² / ((s t)² + σ_data²) and c_out = s t / √((s t)² + σ_data²), with s the timesteps' scaling (Song et
    al. 2023, appendix C).  Any shape.
    """
    scaled = TIMESTEP_SCALING * t
    variance = scaled.square() + SIGMA_DATA**2
    return SIGMA_DATA**2 / variance, scaled / variance.sqrt()


def predicted_x0(predicted: Tensor, x_t: Tensor, alpha_bar: Tensor, prediction: Prediction) -> Tensor:
    """x_0 as a prediction has it (Luo et al. 2023, section 4.1; Salimans and Ho 2022, appendix D).

    Of noise (x_t - √(1 - ᾱ) ε) / √ᾱ, of v √ᾱ x_t - √(1 - ᾱ) v.  Shapes: predicted and x_t (B, ...), ᾱ (B,).
    """
    alpha_bar = per_sample(alpha_bar, x_t)
    if prediction == "epsilon":
        return (x_t - (1 - alpha_bar).sqrt() * predicted) / alpha_bar.sqrt()
    return alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * predicted


def predicted_noise(predicted: Tensor, x_t: Tensor, alpha_bar: Tensor, prediction: Prediction) -> Tensor:
    """The noise as a prediction has it: itself, or √ᾱ v + √(1 - ᾱ) x_t.  Shapes as in `predicted_x0`."""
    if prediction == "epsilon":
        return predicted
    alpha_bar = per_sample(alpha_bar, x_t)
    return alpha_bar.sqrt() * predicted + (1 - alpha_bar).sqrt() * x_t


def ddim_step(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """DDIM without noise of its own, to the timestep of ᾱ: √ᾱ x_0 + √(1 - ᾱ) ε (Song et al. 2021, eq. 12, σ = 0).

    Shapes: x0 and noise (B, ...), ᾱ (B,).
    """
    alpha_bar = per_sample(alpha_bar, x0)
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise


def distances(a: Tensor, b: Tensor, huber_c: float | None) -> Tensor:
    """d(a, b) of each sample, (B,): mean of √((a - b)² + c²) - c (pseudo-Huber, Song and Dhariwal 2024, section 3.3).

    Without c the mean squared error.  Shapes: both (B, ...).
    """
    squared = (a - b).square()
    found = squared if huber_c is None else (squared + huber_c**2).sqrt() - huber_c
    return found.flatten(1).mean(1)


@dataclass(frozen=True)
class Solver(Diffusion):
    """A base's diffusion, visited only where a DDIM solver of `steps` steps goes (Luo et al. 2023, section 4.3).

    Its timesteps are k - 1, 2k - 1, … T - 1 with k = T / steps, those that diffusers' LCMScheduler draws at among them
    where `steps` is a multiple of that one's own.
    """

    steps: int

    @property
    def skipped(self) -> int:
        """k: the base's timesteps in one of the solver's steps."""
        return len(self.alpha_bar) // self.steps

    def grid(self) -> list[int]:
        """Where the solver goes, from the noisiest timestep to 0: (steps + 1,)."""
        return [*(self.skipped * n - 1 for n in range(self.steps, 0, -1)), 0]

    def times(self, normal: Tensor, spec: Timesteps, cells: Cells) -> Tensor:
        """t_{n+k}: every timestep of the solver alike, but 0."""
        n = (levels.uniform(normal) * self.steps).floor()
        return self.skipped * (n + 1) - 1

    def below(self, t: Tensor) -> Tensor:
        """t_n of t_{n+k}; below the first it is 0, where f(x, 0) = x.  Any shape."""
        return (t - self.skipped).clamp(min=0)

    def step(self, predicted: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The state at `below(t)`, by a prediction at x_t (B, ...) and t (B,)."""
        x0, noise = (of(predicted, x_t, self._of(t), self.prediction) for of in (predicted_x0, predicted_noise))
        return ddim_step(x0, noise, self._of(self.below(t)))

    def consistent(self, predicted: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """f(x_t, t) (Luo et al. 2023, section 4.1) by a prediction at x_t (B, ...) and t (B,)."""
        c_skip, c_out = (per_sample(scaling, x_t) for scaling in boundary_scalings(t))
        return c_skip * x_t + c_out * predicted_x0(predicted, x_t, self._of(t), self.prediction)

    def drawn_at(self, count: int) -> list[int]:
        """The timesteps at which diffusers' LCMScheduler asks a student that draws in so many steps."""
        scheduler = LCMScheduler(num_train_timesteps=len(self.alpha_bar))
        scheduler.set_timesteps(count)
        return cast("list[int]", scheduler.timesteps.tolist())


def solver_of(diffusion: Diffusion, steps: int) -> Solver:
    """The solver of a base's diffusion."""
    return Solver(diffusion.alpha_bar, diffusion.prediction, steps)
