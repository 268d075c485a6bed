"""Fixtures for trainings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from director_diffusion.specs import Recipe
from director_diffusion.storage.store import Store
from director_diffusion.training.rows import TrainingResult
from tests.training.trainings import RECIPE, STILLS, Dataset, make_dataset, train_at


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def dataset(store: Store) -> Dataset:
    """Five stills to train on in two buckets, one of which has a single still, and two held out."""
    return make_dataset(store, STILLS)


@pytest.fixture
def train(dataset: Dataset, tmp_path: Path) -> Callable[..., TrainingResult]:
    """`train(recipe)` into `tmp_path / name / out`, with its own work and finished steps below `tmp_path / name`."""

    def run(recipe: Recipe = RECIPE, *, name: str = "run", data: Dataset = dataset, **further: Any) -> TrainingResult:
        return train_at(tmp_path / name, data, recipe, **further)

    return run
