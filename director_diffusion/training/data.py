"""Data: stills with their prompts, from the stages' tables to batches of tensors.

Belongs here: samples, and putting them together.  Which samples make up which batch is `batches`'.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from director_diffusion.errors import TrainingError
from director_diffusion.families.base import Conditions, Family, Placement
from director_diffusion.hashing import hash_data
from director_diffusion.latents.load import load_posteriors
from director_diffusion.latents.rows import LatentRow
from director_diffusion.processes.base import Cells
from director_diffusion.prompts.load import load_prompts
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.storage.store import Store


class Sized(Protocol):
    """What can only be put together with others of its size."""

    @property
    def cells(self) -> Cells: ...


Kind = TypeVar("Kind", bound=Sized)


@dataclass(frozen=True)
class Sample:
    """A still's posterior, the embedding of its own prompt, and its sizes; they travel together."""

    still: str
    mean: Tensor  # (C, h, w), of the VAE's own latents
    std: Tensor
    prompt: Conditions
    sizes: Conditions  # what the family tells its denoiser of the picture's sizes
    director: str = ""  # whose it is, in a training of several

    @property
    def cells(self) -> Cells:
        return self.mean.shape[-2], self.mean.shape[-1]


@dataclass(frozen=True)
class Dataset:
    """What a training learns from and is judged on."""

    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]  # of a training on all stills, those of `train` that are watched
    empty_prompt: Conditions
    prior: tuple[Sample, ...] = ()  # pictures by the bare base; none without prior preservation


@dataclass(frozen=True)
class Batch:
    """Samples of one bucket, ready for the objective."""

    stills: tuple[str, ...]
    latents: Tensor  # (B, C, h, w), the VAE's own
    noise: Tensor  # (B, C, h, w)
    t: Tensor  # (B,), times of the base's process
    conditions: dict[str, Tensor]
    share: float = 1.0  # what its mean loss counts in its step's

    def to(self, device: torch.device) -> "Batch":
        """On a device; from pinned memory, without waiting for it."""
        return replace(
            self,
            latents=self.latents.to(device, non_blocking=True),
            noise=self.noise.to(device, non_blocking=True),
            t=self.t.to(device, non_blocking=True),
            conditions={name: tensor.to(device, non_blocking=True) for name, tensor in self.conditions.items()},
        )

    def pinned(self) -> "Batch":
        """In memory that a GPU copies from while it works."""
        return replace(
            self,
            latents=self.latents.pin_memory(),
            noise=self.noise.pin_memory(),
            t=self.t.pin_memory(),
            conditions={name: tensor.pin_memory() for name, tensor in self.conditions.items()},
        )


@dataclass(frozen=True)
class Drawn:
    """One sample with its randomness fixed."""

    still: str
    latents: Tensor
    noise: Tensor
    t: float | Tensor
    conditions: Conditions

    @property
    def cells(self) -> Cells:
        return self.latents.shape[-2], self.latents.shape[-1]


def load_dataset(
    latents: Sequence[LatentRow],
    prompts: Sequence[PromptRow],
    store: Store,
    family: Family,
    *,
    watched: Collection[str] = (),
    directors: Mapping[str, str] | None = None,
) -> Dataset:
    """Read posteriors and embeddings of the train, validation and prior pictures; the held-out ones judge, unseen.

    `watched` are train stills that stand in for the validation ones, where nothing is held out; `directors` say whose
    each still is, where they are several.  Raises TrainingError where some are lacking.
    """
    rows = [row for row in latents if row.split in ("train", "validation", "prior")]
    item_of = {row.still: row.item for row in prompts}
    for row in rows:
        if row.still not in item_of:
            raise TrainingError(f"still {row.still}", "has no prompt embedding", "Materialize prompt_embeddings again.")
    if "" not in item_of:
        raise TrainingError("the empty prompt", "has no embedding", "Materialize prompt_embeddings again.")
    for split, words in (("train", "to train on"), ("validation", "to choose its step by")):
        if not any(row.split == split for row in rows) and not (split == "validation" and watched):
            raise TrainingError(
                "stills", f"include none {words}", "Add stills of another film, or raise stills.held_out_share."
            )
    posteriors = load_posteriors(rows, store)
    wanted = {row.still for row in rows} | {""}
    embeddings = load_prompts([row for row in prompts if row.still in wanted], store)
    samples: dict[str, list[Sample]] = {"train": [], "validation": [], "prior": []}
    for row in rows:
        mean, std = posteriors[row.still]
        sizes = family.size_conditions(_placement(row))
        whose = (directors or {}).get(row.still, "")
        samples[row.split].append(Sample(row.still, mean, std, embeddings[item_of[row.still]], sizes, whose))
    return Dataset(
        train=tuple(samples["train"]),
        held_out=tuple(samples["validation"] or (sample for sample in samples["train"] if sample.still in watched)),
        empty_prompt=embeddings[item_of[""]],
        prior=tuple(samples["prior"]),
    )


def _placement(row: LatentRow) -> Placement:
    return Placement(
        width=row.width,
        height=row.height,
        original_width=row.original_width,
        original_height=row.original_height,
        left=row.crop_left,
        top=row.crop_top,
    )


def by_size(items: Iterable[Kind]) -> dict[Cells, list[Kind]]:
    """Those of equal size together, in their order."""
    found: dict[Cells, list[Kind]] = {}
    for item in items:
        found.setdefault(item.cells, []).append(item)
    return found


def of_one_size(items: Iterable[Kind], most: int) -> Iterator[list[Kind]]:
    """All of them once, cut into batches of one size each and of `most` items."""
    for some in by_size(items).values():
        for first in range(0, len(some), most):
            yield some[first : first + most]


def collate(drawn: Sequence[Drawn], share: float = 1.0) -> Batch:
    """Put drawn samples together.  Raises TrainingError unless they are of one bucket."""
    if len(sizes := {tuple(one.latents.shape[-2:]) for one in drawn}) > 1:
        raise TrainingError(
            f"a batch of the stills {', '.join(one.still for one in drawn)}",
            f"mixes buckets: latents of {' and '.join(f'{width} × {height}' for height, width in sorted(sizes))} cells",
            "Report this: batches are made of one bucket each.",
        )
    names = drawn[0].conditions.keys()
    return Batch(
        stills=tuple(one.still for one in drawn),
        latents=torch.stack([one.latents for one in drawn]),
        noise=torch.stack([one.noise for one in drawn]),
        t=torch.stack([torch.as_tensor(one.t, dtype=torch.float32) for one in drawn]),
        conditions={name: torch.stack([one.conditions[name] for one in drawn]) for name in names},
        share=share,
    )


def generator(*key: int | str) -> torch.Generator:
    """A generator on the CPU that depends on `key` alone, so that every device sees the same draws."""
    return torch.Generator("cpu").manual_seed(int(hash_data(key)[:15], 16))


def draw_posterior(sample: Sample, rng: torch.Generator) -> Tensor:
    """A latent of the still's posterior: mean + std · eps."""
    return sample.mean + sample.std * torch.randn(sample.mean.shape, generator=rng)
