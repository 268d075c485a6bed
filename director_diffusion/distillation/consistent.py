"""Consistent: how a latent consistency student is asked, taught and judged (Luo et al. 2023, algorithm 1).

Belongs here: a trainee whose steps descend the consistency loss, the teacher's ways by its solver, and what a student
is judged on.  The maths is `consistency`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from director_diffusion.adapters.layering import wear_upper
from director_diffusion.distillation.consistency import Solver, distances
from director_diffusion.distillation.teacher import FollowingStopped, Guide
from director_diffusion.distillation.visits import LoadDenoiser, Make, Start
from director_diffusion.families.base import Conditions, LatentScale
from director_diffusion.processes.base import Cells, per_sample
from director_diffusion.specs import FINEST_COUNT
from director_diffusion.training.data import Batch, Drawn, collate, of_one_size
from director_diffusion.training.trainee import AsAverage, Trainee


@dataclass(frozen=True)
class ConsistentTrainee(Trainee):
    """A student on top of its teacher, in one denoiser, judged by where it goes from states of its teacher's ways."""

    solver: Solver
    guide: Guide  # the teacher's
    huber_c: float | None

    def losses(self, batch: Batch) -> Tensor:
        """Mean squared error of f(x_t, t), without guidance, from the batch's own picture: its way's end.  (B,)"""
        x0, x_t, batch = self._states(batch)
        return distances(self._consistent(x_t, batch.t, batch.conditions), x0, None)

    @torch.no_grad()
    def trivial_losses(self, batch: Batch) -> Tensor:
        """What an optimizer step would descend where f is always zero, (B,)."""
        x0, _, _ = self._states(batch)
        return distances(torch.zeros_like(x0), x0, self.huber_c)

    def step_losses(self, batch: Batch, as_average: AsAverage) -> Tensor:
        """d(f(x_t, t), f⁻(x̂_s, s)), (B,): x̂_s is one step of the teacher's from x_t, at s below t, f⁻ the average's f.

        Teacher and student are asked at the same x_t and t, the average at the state and timestep that they lead to.
        """
        _, x_t, batch = self._states(batch)
        target = self._target(x_t, batch.t, batch.conditions, as_average)
        return distances(self._consistent(x_t, batch.t, batch.conditions), target, self.huber_c)

    @torch.no_grad()
    def _target(self, x_t: Tensor, t: Tensor, conditions: Conditions, as_average: AsAverage) -> Tensor:
        wear_upper(self.denoiser, False)
        with self.accelerator.autocast():
            predicted = self.guide.predict(self.denoiser, x_t, t, conditions)
        wear_upper(self.denoiser, True)
        with as_average():
            return self._consistent(self.solver.step(predicted, x_t, t), self.solver.below(t), conditions)

    def _states(self, batch: Batch) -> tuple[Tensor, Tensor, Batch]:
        """(x_0, x_t, the batch), on the device."""
        batch = batch.to(self.accelerator.device)
        x0 = self.scale.normalise(batch.latents)
        return x0, self.solver.noisy(x0, batch.noise, batch.t), batch

    def _consistent(self, x_t: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        with self.accelerator.autocast():
            predicted = self.family.predict(self.denoiser, x_t, t, conditions, self.guidance)
        return self.solver.consistent(predicted, x_t, t)


def solve(guide: Guide, denoiser: nn.Module, x: Tensor, solver: Solver, conditions: Conditions) -> list[Tensor]:
    """States of the augmented ODE at all of the solver's grid, x (B, C, h, w) at the first of these.

    Raises FollowingStopped where `guide.stop` asked for it between two steps.
    """
    states = [x]
    for timestep in solver.grid()[:-1]:
        if guide.stop():
            raise FollowingStopped
        t = torch.full((len(x),), float(timestep), device=x.device)
        states.append(solver.step(guide.predict(denoiser, states[-1], t, conditions), states[-1], t))
    return states


def ways(guide: Guide, teacher: LoadDenoiser, solver: Solver) -> Make:
    """The teacher's states where the finest student is asked, (FINEST_COUNT + 1, C, h, w), the way's end last."""
    kept = [*(solver.grid().index(t) for t in solver.drawn_at(FINEST_COUNT)), solver.steps]

    def make(noise: Tensor, conditions: Conditions, cells: Cells) -> list[dict[str, Tensor]]:
        states = solve(guide, teacher(), noise, solver, conditions)
        return [{"states": one} for one in torch.stack([states[place] for place in kept], dim=1)]

    return make


def judged_on(
    starts: Sequence[Start],
    found: Sequence[Mapping[str, Tensor]],
    solver: Solver,
    scale: LatentScale,
    batch_size: int,
) -> list[Batch]:
    """Batches whose pictures are the ends of ways, and whose noisy latents the states on them."""
    t = torch.tensor(solver.drawn_at(FINEST_COUNT), dtype=torch.float32)
    drawn: list[Drawn] = []
    for start, one in zip(starts, found, strict=True):
        states, end = one["states"][:-1], one["states"][-1]
        noises = noise_between(end.expand_as(states), states, solver.alpha_bar.cpu()[t.long()])
        drawn += [
            Drawn(f"{start.prompt} from {start.seed}", scale.undo(end), noise, time, start.conditions)
            for noise, time in zip(noises, t, strict=True)
        ]
    return [collate(some) for some in of_one_size(drawn, batch_size)]


def noise_between(x0: Tensor, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """The noise that makes x_t of x_0: (x_t - √ᾱ x_0) / √(1 - ᾱ).  Shapes: states (B, ...), ᾱ (B,)."""
    alpha_bar = per_sample(alpha_bar, x0)
    return (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
