"""Setting: the directors, recipe and plan that verdicts are tried on, and a store with everything before the adapter.

Belongs here: what all trials share.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from director_diffusion.catalog import load_catalog
from director_diffusion.evaluation.encoders.opened import Encoders, open_encoders
from director_diffusion.evaluation.references import FILE as REFERENCE_FILE
from director_diffusion.evaluation.references import rivals_of
from director_diffusion.models.source import fingerprint
from director_diffusion.progress import Silent
from director_diffusion.specs import Base, Director, EvaluationPlan, FolderSource, Project, Recipe, Source
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import latest_artifact

ROOT = Path(__file__).resolve().parents[2]
PROJECT, RECIPE, BASE, PLAN = "demo", "mini_lora", "mini", "mini"
TRIALS = 4  # for each director: so many training seeds
SEEDS = 2  # of noise in a trial, as the release draws


@dataclass(frozen=True)
class FolderModels:
    """The shipped models, as `opened.Models` asks for them."""

    cache: Path
    store: Store

    def folder(self, source: Source) -> Path:
        assert isinstance(source, FolderSource), "the demo's models are shipped as folders"
        return ROOT / source.folder

    def fingerprint(self, source: Source) -> str:
        return fingerprint(source, root=ROOT, cache=self.cache, store=self.store)


@dataclass(frozen=True)
class Setting:
    """Where trials run."""

    folder: Path

    @cached_property
    def store(self) -> Store:
        return Store(str(self.folder / "store"))

    @cached_property
    def models(self) -> FolderModels:
        return FolderModels(self.folder / "cache", self.store)

    @cached_property
    def project(self) -> Project:
        return load_catalog(ROOT / "configs").projects[PROJECT]

    @cached_property
    def base(self) -> Base:
        return load_catalog(ROOT / "configs").bases[BASE]

    @cached_property
    def recipe(self) -> Recipe:
        return load_catalog(ROOT / "configs").recipes[RECIPE]

    @cached_property
    def directors(self) -> Mapping[str, Director]:
        catalog = load_catalog(ROOT / "configs")
        return {one.slug: one for one in catalog.project_directors(self.project)}

    def plan(self, trial: int) -> EvaluationPlan:
        """The plan with a trial's own noise."""
        plan = load_catalog(ROOT / "configs").evaluations[PLAN]
        first, *others = self.noise(trial)
        return plan.model_copy(update={"seeds": (first,), "release_seeds": tuple(others), "previews": None})

    @staticmethod
    def noise(trial: int) -> tuple[int, ...]:
        """Seeds that no other trial draws from."""
        return tuple(range(1000 + SEEDS * trial, 1000 + SEEDS * (trial + 1)))

    @property
    def pool(self) -> tuple[int, ...]:
        """The seeds of all trials."""
        return tuple(seed for trial in range(TRIALS) for seed in self.noise(trial))

    def of(self, director: str, *asset: str) -> Artifact:
        return latest_artifact(self.store, asset, director)

    def still_set(self, director: str) -> StillSet:
        return StillSet.of(self.of(director, "stills"))

    def rivals(self, director: str, encoders: Encoders) -> dict[str, NDArray[np.float64]]:
        references = {slug: self.of(slug, "reference_set").json(REFERENCE_FILE) for slug in self.directors}
        return rivals_of(director, references, self.plan(0), encoders)

    def encoders(self) -> Encoders:
        return open_encoders(
            self.plan(0),
            self.models,
            self.store,
            captioner=self.project.captioner,
            asked_at_once=8,
            device="cpu",
            progress=Silent(),
        )

    def prepare(self) -> None:
        """Stills, captions, latents, prompts and reference sets of all directors, by the product's own command."""
        places = {"DIRECTOR_STORE": "store", "DAGSTER_HOME": "home", "XDG_CACHE_HOME": "cache"}
        environment = os.environ | {name: str(self.folder / place) for name, place in places.items()}
        environment |= {"DIRECTOR_PROJECT": PROJECT, "DIRECTOR_CONFIGS": str(ROOT / "configs")}
        for stage in ("prompt_embeddings", "latents", "reference_set"):
            command = [sys.executable, "-m", "pipelines.cli.main", "run", "--until", stage, "--json"]
            subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
