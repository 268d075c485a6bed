"""Fixtures for trainings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from director_diffusion.progress import Progress, Silent
from director_diffusion.specs import Base, Recipe
from director_diffusion.storage.store import Store
from director_diffusion.training.loop import train_adapter
from director_diffusion.training.rows import TrainingResult
from tests.training.trainings import BASE, RECIPE, STILLS, Dataset, make_dataset


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def dataset(store: Store) -> Dataset:
    """Five stills to train on in two buckets, one of which has a single still, and two held out."""
    return make_dataset(store, STILLS)


@pytest.fixture
def train(dataset: Dataset, mini_base: Path, tmp_path: Path) -> Callable[..., TrainingResult]:
    """`train(recipe)` into `tmp_path / name / out`, with its unfinished work in `tmp_path / name / work`."""

    def run(
        recipe: Recipe = RECIPE,
        *,
        name: str = "run",
        progress: Progress | None = None,
        data: Dataset = dataset,
        base: Base = BASE,
        folder: Path = mini_base,
        device: str = "cpu",
    ) -> TrainingResult:
        out, work = tmp_path / name / "out", tmp_path / name / "work"
        out.mkdir(parents=True, exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
        return train_adapter(
            data.latents,
            data.prompts,
            base,
            recipe,
            folder,
            store=data.store,
            work=work,
            out=out,
            device=device,
            metadata={"director": "nolan", "latents": "0123", "prompt_embeddings": "4567"},
            progress=progress or Silent(),
        )

    return run
