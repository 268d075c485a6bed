"""A lineage in a store of its own, without models."""

from pathlib import Path

import pytest

from director_diffusion.storage import Store
from tests.lineages import Lineage


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def lineage(store: Store) -> Lineage:
    return Lineage(store)
