"""The job: everything that students of an adapter are made of, before anything is loaded.

Belongs here: plain data, and the courses that a student takes as the training loop knows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from director_diffusion.adapters.files import read_adapter
from director_diffusion.distillation.rows import TURBO_VERSION
from director_diffusion.errors import TrainingError
from director_diffusion.hashing import hash_data, short
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, Objective, Recipe, Schedule, Turbo
from director_diffusion.storage import ItemCache, Store
from director_diffusion.training.identity import Identity


@dataclass(frozen=True)
class StudentJob:
    """One director's students of one adapter."""

    director: str
    prompts: tuple[PromptRow, ...]  # that trainings ask for, the empty one among them
    base: Base
    recipe: Recipe  # with its `turbo`
    guidance: float  # that the teacher draws with
    folder: Path  # the base's
    base_fingerprint: str
    adapter: Path
    drawn_by: str  # what computes: a teacher's way differs in its last bits by it
    store: Store
    work: Path  # survives a kill
    device: str
    latents: tuple[LatentRow, ...] = ()  # of stills, which consistent students learn on

    @property
    def turbo(self) -> Turbo:
        assert self.recipe.turbo is not None
        return self.recipe.turbo

    @cached_property
    def taught_by(self) -> dict[str, Any]:
        """All that a teacher's way depends on beside prompt, seed and size."""
        return {
            "version": TURBO_VERSION,
            "base": self.base_fingerprint,
            "family": self.base.family,
            "adapter": read_adapter(self.adapter).content,
            "guidance": [self.base.guidance.kind, self.guidance],
            "empty prompt": self.empty_prompt.reference,
            "steps": self.turbo.teacher_steps,
            "at once": self.turbo.followed_at_once,
            "precision": self.recipe.precision,
            "quantised": self.recipe.quantised_base,
            "by": self.drawn_by,
        }

    def cache(self, kind: str, **further: Any) -> ItemCache:
        """Where states of that kind are kept."""
        return ItemCache(self.store, kind, short(hash_data({**self.taught_by, **further})), ".safetensors")

    def prompts_of(self, *splits: str) -> dict[str, PromptRow]:
        """Distinct prompts by the name of their embedding."""
        return {row.item: row for row in self.prompts if row.still and row.split in splits}

    @property
    def empty_prompt(self) -> PromptRow:
        """Raises TrainingError where there is none."""
        found = [row for row in self.prompts if not row.still and row.split != "preview"]
        if not found:
            raise TrainingError(
                f"captions of {self.director}", "lack the empty prompt", "Materialize prompt_embeddings again."
            )
        return found[0]

    def recipe_of(self, steps: int, schedule: Schedule) -> Recipe:
        """The recipe of a course: the base's side of the adapter's own, and what `turbo` says."""
        turbo, own = self.turbo, self.recipe
        return Recipe(
            slug=own.slug,
            base=own.base,
            adapter=turbo.adapter,
            optimizer=turbo.optimizer,
            schedule=schedule,
            objective=Objective(),
            steps=steps,
            batch_size=turbo.batch_size,
            caption_dropout=0.0,
            ema_decay=turbo.ema_decay,
            checkpoint_every=turbo.checkpoint_every,
            precision=own.precision,
            quantised_base=own.quantised_base,
            activation_gib=own.activation_gib,
            compiled=own.compiled,
            seed=turbo.seed,
        )


@dataclass(frozen=True)
class Lesson:
    """A course of a student's, as the training loop knows it (`training.job.Course`)."""

    recipe: Recipe
    identity: Identity
    store: Store
    work: Path
    watched: tuple[str, ...] = ()
    directors: Mapping[str, str] = field(default_factory=dict)


def lesson_of(job: StudentJob, steps: int, schedule: Schedule, parts: Mapping[str, Any]) -> Lesson:
    """A course of `steps` optimizer steps; `parts` say what else it depends on than teacher and recipe."""
    recipe = job.recipe_of(steps, schedule)
    identity = Identity(
        {
            "taught by": job.taught_by,
            # Blocks that are computed again give the same numbers.
            "recipe": recipe.model_dump(mode="json", exclude={"slug", "activation_gib"}),
            **parts,
        }
    )
    return Lesson(recipe, identity, job.store, job.work)
