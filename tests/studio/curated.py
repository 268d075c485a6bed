"""A small project as far as captions and latents, made by Dagster, and a studio over it that draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import torch

from director_diffusion.captions.judging import Judge
from director_diffusion.catalog import Catalog, load_catalog
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.studio.studio import Order, Picture, Studio
from director_diffusion.training.finished import FinishedStep, FinishedSteps
from director_diffusion.training.picks import note_training
from director_diffusion.training.rows import CurvePoint
from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings
from tests.small_configs import surroundings_of

DATASET = ("raw_stills", "still_decisions", "written_captions", "director", "stills", "captions", "mini/latents")


class NoDesk:
    """Draws nothing."""

    def directors(self, recipe: str) -> Sequence[str]:
        return ()

    def students(self, recipe: str, director: str) -> Sequence[int]:
        return ()

    def warm_up(self) -> None:
        pass

    def draw(self, orders: Sequence[Order], visitor: str) -> list[Picture]:
        raise AssertionError("nothing is drawn here")


@dataclass(frozen=True)
class Curated:
    """Configs and store below `folder`."""

    folder: Path
    asked: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "store"))

    @cached_property
    def definitions(self) -> dg.Definitions:
        return build_definitions(read_surroundings(surroundings_of(self.folder)))

    @cached_property
    def catalog(self) -> Catalog:
        return load_catalog(self.folder / "configs")

    @cached_property
    def studio(self) -> Studio:
        """Counts words as tokens; everything else is as people have it."""
        project = self.catalog.project("demo")
        return Studio(
            store=self.store,
            directors={one.slug: one for one in self.catalog.project_directors(project)},
            recipes={one.slug: one for one in self.catalog.project_recipes(project)},
            plan=self.catalog.evaluations[project.evaluation],
            booth=None,
            desk=NoDesk(),
            judge=Judge(project.captioner, lambda text: len(text.split()), 32),
        )

    def make(self, director: str, *names: str) -> None:
        """Materialize these assets of a director, on an instance that forgets it."""
        keys = [dg.AssetKey(name.split("/")) for name in names or DATASET]
        assets = [one for one in self.definitions.assets or () if isinstance(one, dg.AssetsDefinition)]
        resources: Any = self.definitions.resources
        with dg.DagsterInstance.ephemeral() as instance:
            made = dg.materialize(
                assets, selection=keys, partition_key=director, instance=instance, resources=resources
            )
        assert made.success

    def latest(self, name: str, director: str) -> Artifact:
        return latest_artifact(self.store, tuple(name.split("/")), director)

    def keys(self, director: str) -> dict[str, str]:
        return {name: self.latest(name, director).manifest.key for name in DATASET}

    def stills(self, director: str) -> Path:
        return self.folder / "store" / "stills" / director

    def items(self, kind: str) -> dict[str, int]:
        """The items of a cache, with the time of their writing in ns."""
        root = self.folder / "store" / "cache" / kind
        return {path.name: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    def train(self, director: str, training: str, steps: Sequence[int] = (3, 6)) -> None:
        """Leave what a training of these steps leaves."""
        points = [CurvePoint(n, 0.1, 0.6, 1.0, held_out_loss=0.5 - n / 100) for n in range(max(steps) + 1)]
        finished = FinishedSteps(self.store, training)
        for step in steps:
            finished.save(step, FinishedStep({"w": torch.ones(4)}, tuple(points[: step + 1]), {}))
        note_training(self.store, "mini_lora", director, training)
