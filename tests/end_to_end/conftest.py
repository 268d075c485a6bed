"""A project that went through every stage, shared by tests that read it or start from a copy of it."""

import pytest

from tests.tiny_project import TinyProject


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A project whose director nolan went through every stage, beside fincher, who did not; read it, or copy it."""
    project = TinyProject.make(tmp_path_factory.mktemp("made"), directors=("nolan", "fincher"))
    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    return project
