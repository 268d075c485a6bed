"""The job: everything that a training is made of, before anything is loaded.

Belongs here: plain data, which a process of its own can be given.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from director_diffusion.hashing import hash_file
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, Previews, Recipe
from director_diffusion.stills.learned import Learned
from director_diffusion.stills.rows import Split
from director_diffusion.storage.store import Store
from director_diffusion.training.identity import Identity, training_identity


@dataclass(frozen=True)
class OfFolds:
    """What two folds leave to the training that learns all stills, so that none is left to choose its step by."""

    steps: tuple[int, ...]  # that they chose
    watched: tuple[str, ...]  # stills whose loss is told though they are learned


class Course(Protocol):
    """What the loop knows of a training, whatever is trained."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def identity(self) -> Identity: ...

    @property
    def store(self) -> Store: ...

    @property
    def work(self) -> Path: ...

    @property
    def watched(self) -> tuple[str, ...]: ...

    @property
    def directors(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class TrainingJob:
    """One director's training by one recipe, or one of several directors' stills."""

    director: str  # "" where they are several
    latents: tuple[LatentRow, ...]  # of stills, and of the prior's pictures
    prompts: tuple[PromptRow, ...]
    base: Base
    recipe: Recipe
    folder: Path  # the base's
    base_fingerprint: str
    store: Store
    work: Path  # survives a kill; shared by the trainings of this director and recipe
    device: str
    init: Path | None = None  # the adapter file to start from
    init_learned: Learned = field(default_factory=dict)  # the stills that it knows
    previews: Previews | None = None
    preview_aspect: float = 1.0
    processes: int = 1
    devices: tuple[str, ...] = ()  # UUIDs, one for each process; () where they are not lent
    at_start: Callable[[], None] | None = None  # called first in each of several processes
    pickable: bool = True  # whether a person may choose of its steps (`picks`)
    folds: OfFolds | None = None  # None: stills are held out of this training itself
    directors: Mapping[str, str] = field(default_factory=dict)
    """Of several: whose each still is, the start's among them."""

    @cached_property
    def identity(self) -> Identity:
        return training_identity(
            self.latents,
            self.training_prompts,
            self.base,
            self.recipe,
            base_fingerprint=self.base_fingerprint,
            init=hash_file(self.init) if self.init is not None else "",
            watched=self.watched,
            directors=self.directors,
        )

    @property
    def learned(self) -> dict[str, Split]:
        """The stills that the adapter comes to know, those of what it starts from among them, and what each is to it.

        One that was learned anywhere on the way is `train`.
        """
        own: dict[str, Split] = {row.still: row.split for row in self.latents if row.split in ("train", "validation")}
        started = self.init_learned
        return {
            still: "train" if "train" in (own.get(still), started.get(still)) else "validation"
            for still in sorted(own.keys() | started.keys())
        }

    @property
    def learned_by_name(self) -> dict[str, Learned]:
        """What is learned, as its file has it: the adapter's, or by director where they are several."""
        if not self.directors:
            return {"adapter": self.learned}
        return {
            slug: {still: split for still, split in self.learned.items() if self.directors[still] == slug}
            for slug in sorted(set(self.directors.values()))
        }

    @property
    def watched(self) -> tuple[str, ...]:
        """Stills that are learned and watched; () where the held-out loss is of stills that are not learned."""
        return self.folds.watched if self.folds is not None else ()

    @property
    def training_prompts(self) -> Sequence[PromptRow]:
        return [row for row in self.prompts if row.split != "preview"]

    @property
    def preview_prompts(self) -> Sequence[PromptRow]:
        return [row for row in self.prompts if row.split == "preview"]
