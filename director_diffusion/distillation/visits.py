"""Visits: the states that a teacher goes through, and those that a student comes to, kept by content.

Belongs here: what trajectories start from, their cache, and computing what is missing of them.

    cache/trajectories/<teacher and grid>/<start>   states (FINEST_COUNT + 1, C, h, w) and as many sigmas
    cache/visits/<student>/<start>                  states (K - 1, C, h, w) of a student before its later steps, and
                                                    where its teacher goes from each (K - 1, C, h, w)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from director_diffusion.distillation.teacher import Guide, batched
from director_diffusion.families.base import Conditions
from director_diffusion.hashing import hash_data, short
from director_diffusion.processes import Flow
from director_diffusion.processes.base import Cells
from director_diffusion.progress import Task
from director_diffusion.specs import FINEST_COUNT
from director_diffusion.storage import ItemCache
from director_diffusion.tensors import read_tensors, write_item
from director_diffusion.training.data import generator, of_one_size


@dataclass(frozen=True)
class Start:
    """What a trajectory starts from: a prompt, a seed's noise and a size."""

    prompt: str  # the store's name of its embedding, which says what encoded it
    conditions: Conditions
    seed: int
    cells: Cells

    @property
    def item(self) -> str:
        return short(hash_data({"prompt": self.prompt, "seed": self.seed, "cells": self.cells}))

    def noise(self, channels: int) -> Tensor:
        """(C, h, w), the same on every device."""
        return torch.randn(channels, *self.cells, generator=generator("trajectory", self.item))


def starts_of(prompts: Mapping[str, Conditions], sizes: Sequence[Cells], seeds: Sequence[int]) -> list[Start]:
    """Every prompt from every seed; sizes take turns, so that each prompt has several.

    The size that a prompt begins with is its own, whatever other prompts there are.
    """
    return [
        Start(name, prompts[name], seed, sizes[(int(short(hash_data(name)), 16) + turn) % len(sizes)])
        for name in sorted(prompts)
        for turn, seed in enumerate(seeds)
    ]


LoadDenoiser = Callable[[], nn.Module]
"""Puts somebody's weights into the denoiser, and gives it."""

Make = Callable[[Tensor, Conditions, Cells], list[dict[str, Tensor]]]
"""Of noise (B, C, h, w), a batch of prompts and their size, the tensors of each start's item."""


def complete(
    starts: Sequence[Start],
    cache: ItemCache,
    make: Make,
    *,
    channels: int,
    device: torch.device,
    at_once: int,
    task: Task,
) -> list[dict[str, Tensor]]:
    """Every start's item, in order; those that are missing are made and kept.

    Batches are cut from all starts of a size, not from what is missing: a run that goes on after a kill makes each in
    the company that it would have had, so that even its last bits are the same.  Raises FollowingStopped where `make`
    was asked to stop.
    """
    missing = set(cache.missing(start.item for start in starts))
    for batch in of_one_size(starts, at_once):
        if any(start.item in missing for start in batch):
            noise = torch.stack([start.noise(channels) for start in batch]).to(device)
            made = make(noise, batched([start.conditions for start in batch], device), batch[0].cells)
            for start, tensors in zip(batch, made, strict=True):
                if start.item in missing:
                    write_item(cache, start.item, tensors)
        task.advance(len(batch))
    return [read_tensors(cache.store, cache.name(start.item)) for start in starts]


def trajectories(guide: Guide, teacher: LoadDenoiser, flow: Flow, *, steps: int) -> Make:
    """The teacher's states at the ends of `FINEST_COUNT` segments, of `steps` steps in all."""
    apart = steps // FINEST_COUNT

    def make(noise: Tensor, conditions: Conditions, cells: Cells) -> list[dict[str, Tensor]]:
        sigmas = flow.grid(steps, cells)
        states = guide.follow(teacher(), noise, sigmas.tolist(), conditions)
        kept = torch.stack(states[::apart], dim=1)
        return [{"states": one, "sigmas": sigmas[::apart].clone()} for one in kept]

    return make


def visits(guide: Guide, student: LoadDenoiser, teacher: LoadDenoiser, flow: Flow, *, steps: int, count: int) -> Make:
    """Where a student of `count` steps comes to, and where the teacher goes from there to the step's end."""

    def make(noise: Tensor, conditions: Conditions, cells: Cells) -> list[dict[str, Tensor]]:
        ends, fine = flow.grid(count, cells).tolist(), flow.grid(steps, cells).tolist()
        came_to = guide.student.follow(student(), noise, ends[:-1], conditions)[1:]
        part, denoiser = steps // count, teacher()
        went = [
            guide.follow(denoiser, x, fine[step * part : (step + 1) * part + 1], conditions)[-1]
            for step, x in enumerate(came_to, start=1)
        ]
        pairs = zip(torch.stack(came_to, dim=1), torch.stack(went, dim=1), strict=True)
        return [{"states": states, "ends": ends_} for states, ends_ in pairs]

    return make
