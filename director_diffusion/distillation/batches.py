"""Batches: segments as a flow's training takes them.

Belongs here: what a segment is to the loop, and which segments make up which step: a function of seed and position.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from torch import Tensor

from director_diffusion.distillation.segments import as_pair, mean_velocity
from director_diffusion.distillation.visits import Start
from director_diffusion.families.base import Conditions, LatentScale
from director_diffusion.processes.base import Cells
from director_diffusion.training.batches import plan_batches
from director_diffusion.training.data import Batch, by_size, of_one_size


@dataclass(frozen=True)
class Segment:
    """A state, and the mean velocity by which its segment is gone through in one step."""

    name: str
    state: Tensor  # (C, h, w), as the denoiser sees it
    velocity: Tensor  # (C, h, w)
    sigma: float
    conditions: Conditions

    @property
    def cells(self) -> Cells:
        return self.state.shape[-2], self.state.shape[-1]


def of_trajectory(start: Start, found: Mapping[str, Tensor], count: int) -> list[Segment]:
    """The `count` segments of a trajectory whose states are kept at the ends of at least as many."""
    part = (len(found["sigmas"]) - 1) // count
    return _segments(start, found["states"][:-1:part], found["states"][part::part], found["sigmas"][::part])


def of_visit(start: Start, found: Mapping[str, Tensor], sigmas: Tensor) -> list[Segment]:
    """The later segments of a student's own way; `sigmas` are the ends of all its steps."""
    return _segments(start, found["states"], found["ends"], sigmas[1:])


def _segments(start: Start, states: Tensor, ends: Tensor, sigmas: Tensor) -> list[Segment]:
    """From each of the states (K, C, h, w) to its end; sigmas (K + 1,)."""
    velocities = mean_velocity(states, ends, sigmas[:-1], sigmas[1:])
    name = f"{start.prompt} from {start.seed}"
    return [
        Segment(name, state, velocity, sigma, start.conditions)
        for state, velocity, sigma in zip(states, velocities, sigmas[:-1].tolist(), strict=True)
    ]


def collated(segments: Sequence[Segment], scale: LatentScale) -> Batch:
    """Segments of one size as a batch whose noisy latents and targets are theirs (`segments.as_pair`)."""
    t = torch.tensor([segment.sigma for segment in segments])
    states, velocities = (torch.stack([getattr(one, name) for one in segments]) for name in ("state", "velocity"))
    x0, noise = as_pair(states, velocities, t)
    return Batch(
        stills=tuple(segment.name for segment in segments),
        latents=scale.undo(x0),
        noise=noise,
        t=t,
        conditions={
            name: torch.stack([segment.conditions[name] for segment in segments]) for name in segments[0].conditions
        },
    )


def in_batches(segments: Sequence[Segment], batch_size: int, scale: LatentScale) -> list[Batch]:
    """All of them once, for what is judged by a mean over them."""
    return [collated(some, scale) for some in of_one_size(segments, batch_size)]


class SegmentBatches:
    """Every batch of a student's training, each of one size; see `training.batches.Batches`."""

    def __init__(self, segments: Sequence[Segment], scale: LatentScale, *, steps: int, batch_size: int, seed: int):
        self._segments, self._scale, self._batch_size = segments, scale, batch_size
        sizes = list(by_size(segments).values())
        self._plan = plan_batches(sizes, batches=steps, batch_size=batch_size, seed=seed, purpose="segments ")

    def of_step(self, step: int) -> Iterator[Batch]:
        yield collated(self._plan[step], self._scale)

    def stills_of(self, step: int) -> list[str]:
        return [segment.name for segment in self._plan[step]]

    def largest(self) -> Batch:
        sizes = by_size(self._segments)
        some = sizes[max(sizes, key=lambda cells: cells[0] * cells[1])]
        return collated(list(islice(cycle(some), self._batch_size)), self._scale)
