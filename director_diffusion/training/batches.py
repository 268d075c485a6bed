"""Batches: which samples make up which step, and everything random about a sample.

Belongs here: the data's order.  All of it is a function of the recipe's seed and of a position in the training, so any
step can be made again without those before it, and neither batch size, accumulation nor the number of processes
changes what a sample is.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Protocol, TypeVar

import numpy as np
import torch

from director_diffusion.hashing import hash_data
from director_diffusion.processes import Process
from director_diffusion.specs import Recipe
from director_diffusion.training.data import (
    Batch,
    Dataset,
    Drawn,
    Sample,
    by_size,
    collate,
    draw_posterior,
    generator,
)
from director_diffusion.training.division import check_divisible, takes_whole

Kind = TypeVar("Kind")


class Batches(Protocol):
    """What a training learns from, step by step."""

    def of_step(self, step: int) -> Iterator[Batch]:
        """This process's batches of optimizer step `step` (from 0); over all processes, the shares add to 1."""

    def stills_of(self, step: int) -> list[str]:
        """Names of all that optimizer step `step` (from 0) sees, over all processes."""

    def largest(self) -> Batch:
        """What a step needs most memory for."""


class TrainingBatches:
    """Every batch of a training, each of one bucket.

    `rank` of `processes` takes its part of each step: whole batches where accumulation divides evenly, else rows of
    each batch.  Raises TrainingError where neither does.
    """

    def __init__(self, data: Dataset, recipe: Recipe, process: Process, *, rank: int = 0, processes: int = 1):
        self._data, self._recipe, self._process = data, recipe, process
        self._rank, self._processes = rank, processes
        check_divisible(recipe, processes)
        self._whole = takes_whole(recipe, processes)
        self._stills = self._plan(data.train, "")
        self._prior = self._plan(data.prior, "prior ") if recipe.prior is not None else None

    def of_step(self, step: int) -> Iterator[Batch]:
        """This process's batches of optimizer step `step` (from 0); over all processes, the stills' shares add to 1."""
        accumulation = self._recipe.gradient_accumulation
        for number in range(step * accumulation, (step + 1) * accumulation):
            if self._whole and number % self._processes != self._rank:
                continue
            yield self._batch(self._stills[number], number, "", 1 / accumulation)
            if self._prior is not None and self._recipe.prior is not None:
                yield self._batch(self._prior[number], number, "prior ", self._recipe.prior.weight / accumulation)

    def stills_of(self, step: int) -> list[str]:
        """Names of all that optimizer step `step` (from 0) sees, over all processes."""
        accumulation = self._recipe.gradient_accumulation
        plans = [self._stills] if self._prior is None else [self._stills, self._prior]
        batches = [batch for plan in plans for batch in plan[step * accumulation : (step + 1) * accumulation]]
        return [sample.still for batch in batches for sample in batch]

    def largest(self) -> Batch:
        """This process's part of a batch of the largest bucket: what a step needs most memory for."""
        buckets = by_size([*self._data.train, *self._data.prior] if self._prior is not None else self._data.train)
        samples = buckets[max(buckets, key=lambda cells: cells[0] * cells[1])]
        return self._batch(list(islice(cycle(samples), self._recipe.batch_size)), 0, "", 1.0)

    def _plan(self, samples: Sequence[Sample], purpose: str) -> list[list[Sample]]:
        recipe = self._recipe
        several = len({sample.director for sample in samples}) > 1
        return (plan_balanced if several else plan_batches)(
            list(by_size(samples).values()),
            batches=recipe.steps * recipe.gradient_accumulation,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            purpose=purpose,
        )

    def _batch(self, samples: Sequence[Sample], number: int, purpose: str, share: float) -> Batch:
        rows = range(len(samples)) if self._whole else range(self._rank, len(samples), self._processes)
        first = number * self._recipe.batch_size
        drawn = [self._draw(samples[row], first + row, purpose) for row in rows]
        return collate(drawn, share * len(drawn) / len(samples))

    def _draw(self, sample: Sample, position: int, purpose: str) -> Drawn:
        recipe = self._recipe
        rng = generator(f"{purpose}training", recipe.seed, position)
        normal = torch.randn((), generator=rng)
        dropped = torch.rand((), generator=rng).item() < recipe.caption_dropout
        latents = draw_posterior(sample, rng)
        noise = torch.randn(latents.shape, generator=rng)
        if recipe.objective.noise_offset:
            # One number for a whole channel (Guttenberg 2023), which training on plain noise never sees move.
            noise += recipe.objective.noise_offset * torch.randn(len(latents), 1, 1, generator=rng)
        prompt = self._data.empty_prompt if dropped else sample.prompt
        return Drawn(
            still=sample.still,
            latents=latents,
            noise=noise,
            t=self._process.times(normal, recipe.timesteps, sample.cells),
            conditions={**prompt, **sample.sizes},
        )


class Prefetched:
    """Batches of the steps to come, made and (for a GPU) pinned in a thread while a step is computed."""

    def __init__(self, batches: Batches, first: int, end: int, device: torch.device):
        self._batches, self._steps, self._device = batches, range(first, end), device

    def __iter__(self) -> Iterator[list[Batch]]:
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
            coming = [thread.submit(self._make, step) for step in self._steps[:1]]
            for step in self._steps:
                made = coming.pop().result()
                if step + 1 in self._steps:
                    coming.append(thread.submit(self._make, step + 1))
                yield made

    def _make(self, step: int) -> list[Batch]:
        batches = list(self._batches.of_step(step))
        return [batch.pinned() for batch in batches] if self._device.type == "cuda" else batches


def plan_batches(
    buckets: Sequence[Sequence[Kind]], *, batches: int, batch_size: int, seed: int, purpose: str = ""
) -> list[list[Kind]]:
    """Which samples make up each batch.

    A batch's bucket is drawn in proportion to the bucket's size, so that every still has the same chance.  A bucket
    deals its samples like a deck of cards that is shuffled when it runs out: all have been seen before one returns, and
    a bucket with fewer stills than a batch still fills one.
    """
    sizes = np.array([len(bucket) for bucket in buckets])
    choices = _numpy_generator(seed, f"{purpose}buckets").choice(len(buckets), size=batches, p=sizes / sizes.sum())
    decks = [_deck(bucket, _numpy_generator(seed, f"{purpose}bucket {i}")) for i, bucket in enumerate(buckets)]
    return [list(islice(decks[choice], batch_size)) for choice in choices]


def plan_balanced(
    buckets: Sequence[Sequence[Sample]], *, batches: int, batch_size: int, seed: int, purpose: str = ""
) -> list[list[Sample]]:
    """Which samples make up each batch, of several directors: each has as many samples, however many stills.

    Within a director every still has the same chance, so a bucket comes as often as the mean over directors of its
    share of their stills, and its samples are the directors' by these shares.  Both are dealt (`_dealt`), not drawn:
    directors that share all buckets have equally many samples after every round of them.
    """
    stills = Counter(sample.director for bucket in buckets for sample in bucket)
    cells = [_by_director(bucket) for bucket in buckets]
    shares = [[len(some) / stills[whose] for whose, some in cell.items()] for cell in cells]
    choices = _dealt([sum(of_bucket) for of_bucket in shares], _numpy_generator(seed, f"{purpose}dealt buckets"))
    hands = [
        _dealt(of_bucket, _numpy_generator(seed, f"{purpose}directors of bucket {i}"))
        for i, of_bucket in enumerate(shares)
    ]
    decks = [
        [_deck(some, _numpy_generator(seed, f"{purpose}bucket {i} of {whose}")) for whose, some in cell.items()]
        for i, cell in enumerate(cells)
    ]
    return [
        [next(decks[choice][whose]) for whose in islice(hands[choice], batch_size)]
        for choice in islice(choices, batches)
    ]


def _by_director(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.director, []).append(sample)
    return found


def _dealt(shares: Sequence[float], rng: np.random.Generator) -> Iterator[int]:
    """Indices in proportion to their shares, in random order: stride scheduling (Waldspurger and Weihl 1995), each turn
    at a random moment of its stride.  At any moment each has had its share of all turns, but for one.
    """
    turns = np.zeros(len(shares))
    due = rng.random(len(shares)) / shares
    while True:
        index = int(due.argmin())
        yield index
        turns[index] += 1
        due[index] = (turns[index] + rng.random()) / shares[index]


def _deck(samples: Sequence[Kind], rng: np.random.Generator) -> Iterator[Kind]:
    while True:
        for i in rng.permutation(len(samples)):
            yield samples[i]


def _numpy_generator(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng(int(hash_data([purpose, seed])[:15], 16))
