"""Fixtures: a project with stills and captions to be curated."""

import shutil
from pathlib import Path

import pytest

from director_diffusion.catalog import load_catalog
from director_diffusion.progress import Silent
from director_diffusion.scenes.placeholders import fill_placeholder_stills
from director_diffusion.storage import Store
from tests.finished import once
from tests.small_configs import change, small_configs
from tests.studio.curated import Curated


@pytest.fixture(scope="session")
def curated_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nolan as far as latents; fincher as far as stills.  Copy it."""

    def make(folder: Path) -> None:
        configs = small_configs(folder, stills=12)
        change(configs, "projects/demo", directors=["nolan", "fincher"])
        for slug in ("nolan", "fincher"):
            change(configs, f"directors/{slug}", stills={"min_distinct": 4})
        spec = load_catalog(configs).project("demo").placeholder_stills
        assert spec is not None
        fill_placeholder_stills(Store(str(folder / "store")), ["nolan", "fincher"], spec, Silent())
        project = Curated(folder)
        project.make("nolan")
        project.make("fincher", "raw_stills", "still_decisions", "director", "stills")

    return once(tmp_path_factory, "curated", make)


@pytest.fixture
def curated(curated_once: Path, tmp_path: Path) -> Curated:
    """A copy of it, to be changed."""
    shutil.copytree(curated_once, tmp_path / "curated", symlinks=True)
    return Curated(tmp_path / "curated")


@pytest.fixture
def looked_at(curated_once: Path) -> Curated:
    """The project itself, of which nothing may be changed."""
    return Curated(curated_once)
