"""Data: stills with their prompts, put into batches.

Belongs here: which samples make up which batch, and everything random about a sample.  Each is a function of the
recipe's seed and of a position in the training, so any step can be made again without those before it, and neither
batch size nor accumulation changes what a sample is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from director_diffusion.errors import TrainingError
from director_diffusion.hashing import hash_data
from director_diffusion.latents.load import load_posteriors
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.load import load_prompts
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Recipe
from director_diffusion.storage.store import Store
from director_diffusion.training.timesteps import noise_levels

Embedding = Mapping[str, Tensor]
Cells = tuple[int, int]  # (height, width) of a latent


@dataclass(frozen=True)
class Sample:
    """A still's posterior and the embedding of its own prompt; they travel together."""

    still: str
    mean: Tensor  # (C, h, w), of the VAE's own latents
    std: Tensor
    prompt: Embedding

    @property
    def cells(self) -> Cells:
        return self.mean.shape[-2], self.mean.shape[-1]


@dataclass(frozen=True)
class Dataset:
    """What a training learns from and is judged on."""

    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    empty_prompt: Embedding


@dataclass(frozen=True)
class Batch:
    """Samples of one bucket, ready for the objective."""

    stills: tuple[str, ...]
    latents: Tensor  # (B, C, h, w), the VAE's own
    noise: Tensor  # (B, C, h, w)
    sigma: Tensor  # (B,)
    prompt: dict[str, Tensor]

    def to(self, device: torch.device) -> "Batch":
        return Batch(
            self.stills,
            self.latents.to(device),
            self.noise.to(device),
            self.sigma.to(device),
            {name: tensor.to(device) for name, tensor in self.prompt.items()},
        )


@dataclass(frozen=True)
class Drawn:
    """One sample with its randomness fixed."""

    still: str
    latents: Tensor
    noise: Tensor
    sigma: float | Tensor
    prompt: Embedding


def load_dataset(latents: Sequence[LatentRow], prompts: Sequence[PromptRow], store: Store) -> Dataset:
    """Read posteriors and embeddings of the train and held-out stills.  Raises TrainingError where some are lacking."""
    rows = [row for row in latents if row.split != "none"]
    item_of = {row.still: row.item for row in prompts}
    for row in rows:
        if row.still not in item_of:
            raise TrainingError(f"still {row.still}", "has no prompt embedding", "Materialize prompt_embeddings again.")
    if "" not in item_of:
        raise TrainingError("the empty prompt", "has no embedding", "Materialize prompt_embeddings again.")
    for split, words in (("train", "to train on"), ("held_out", "held out to judge the adapter by")):
        if not any(row.split == split for row in rows):
            raise TrainingError(
                "stills", f"include none {words}", "Add stills of another film, or raise stills.held_out_share."
            )
    posteriors = load_posteriors(rows, store)
    wanted = {row.still for row in rows} | {""}
    embeddings = load_prompts([row for row in prompts if row.still in wanted], store)
    samples = {row.still: Sample(row.still, *posteriors[row.still], embeddings[item_of[row.still]]) for row in rows}
    return Dataset(
        train=tuple(samples[row.still] for row in rows if row.split == "train"),
        held_out=tuple(samples[row.still] for row in rows if row.split == "held_out"),
        empty_prompt=embeddings[item_of[""]],
    )


def by_bucket(samples: Sequence[Sample]) -> dict[Cells, list[Sample]]:
    """Samples of equal size together, in their order."""
    buckets: dict[Cells, list[Sample]] = {}
    for sample in samples:
        buckets.setdefault(sample.cells, []).append(sample)
    return buckets


def collate(drawn: Sequence[Drawn]) -> Batch:
    """Put drawn samples together.  They must be of one bucket: torch refuses to stack others."""
    names = drawn[0].prompt.keys()
    return Batch(
        stills=tuple(one.still for one in drawn),
        latents=torch.stack([one.latents for one in drawn]),
        noise=torch.stack([one.noise for one in drawn]),
        sigma=torch.stack([torch.as_tensor(one.sigma, dtype=torch.float32) for one in drawn]),
        prompt={name: torch.stack([one.prompt[name] for one in drawn]) for name in names},
    )


def generator(*key: int | str) -> torch.Generator:
    """A generator on the CPU that depends on `key` alone, so that every device sees the same draws."""
    return torch.Generator("cpu").manual_seed(int(hash_data(key)[:15], 16))


def draw_posterior(sample: Sample, rng: torch.Generator) -> Tensor:
    """A latent of the still's posterior: mean + std · eps."""
    return sample.mean + sample.std * torch.randn(sample.mean.shape, generator=rng)


class TrainingBatches:
    """Every batch of a training, each of one bucket."""

    def __init__(self, data: Dataset, recipe: Recipe, resolution_shift: Callable[[int, int], float]):
        """`resolution_shift` gives the base's sigma shift for (height, width) latent cells."""
        self._data, self._recipe = data, recipe
        buckets = by_bucket(data.train)
        self._shift = {cells: resolution_shift(*cells) for cells in buckets}
        self._plan = plan_batches(
            list(buckets.values()),
            batches=recipe.steps * recipe.gradient_accumulation,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
        )

    def of_step(self, step: int) -> Iterator[Batch]:
        """The batches of optimizer step `step` (from 0), one per accumulated backward pass."""
        first = step * self._recipe.gradient_accumulation
        for number in range(first, first + self._recipe.gradient_accumulation):
            position = number * self._recipe.batch_size
            yield collate([self._draw(sample, position + i) for i, sample in enumerate(self._plan[number])])

    def _draw(self, sample: Sample, position: int) -> Drawn:
        rng = generator("training", self._recipe.seed, position)
        normal = torch.randn((), generator=rng)
        dropped = torch.rand((), generator=rng).item() < self._recipe.caption_dropout
        latents = draw_posterior(sample, rng)
        return Drawn(
            still=sample.still,
            latents=latents,
            noise=torch.randn(latents.shape, generator=rng),
            sigma=noise_levels(normal, self._recipe.timesteps, self._shift[sample.cells]),
            prompt=self._data.empty_prompt if dropped else sample.prompt,
        )


def plan_batches(
    buckets: Sequence[Sequence[Sample]], *, batches: int, batch_size: int, seed: int
) -> list[list[Sample]]:
    """Which samples make up each batch.

    A batch's bucket is drawn in proportion to the bucket's size, so that every still has the same chance.  A bucket
    deals its samples like a deck of cards that is shuffled when it runs out: all have been seen before one returns, and
    a bucket with fewer stills than a batch still fills one.
    """
    sizes = np.array([len(bucket) for bucket in buckets])
    choices = _numpy_generator(seed, "buckets").choice(len(buckets), size=batches, p=sizes / sizes.sum())
    decks = [_deck(bucket, _numpy_generator(seed, f"bucket {i}")) for i, bucket in enumerate(buckets)]
    return [list(islice(decks[choice], batch_size)) for choice in choices]


def _deck(samples: Sequence[Sample], rng: np.random.Generator) -> Iterator[Sample]:
    while True:
        for i in rng.permutation(len(samples)):
            yield samples[i]


def _numpy_generator(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng(int(hash_data([purpose, seed])[:15], 16))
