"""A project that went through every stage, shared by tests that read it or start from a copy of it."""

from pathlib import Path

import pytest

from tests.tiny_project import TinyProject


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the small model set is built, once."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> TinyProject:
    """A project whose director nolan went through every stage, beside fincher, who did not; read it, or copy it."""
    project = TinyProject.make(tmp_path_factory.mktemp("made"), model_cache, directors=("nolan", "fincher"))
    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    return project
