"""Projects that went through stages, for tests of several files: made once, by whichever worker first asks for one.

Belongs here: what costs so much that several files share it.  Read what a fixture gives, or copy it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.tiny_project import TinyProject

STUDENTS = {
    "step_counts": [1, 2],
    "teacher_steps": 16,
    "trajectories": 1,
    "adapter": {"kind": "lora", "rank": 2, "alpha": 2},
    "optimizer": {"kind": "adamw", "lr": 2.0e-3},
    "steps": 4,
    "visited_steps": 2,
    "batch_size": 4,
    "checkpoint_every": 2,
}


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A copy, this worker's own, of what `make` puts into a folder; all workers' are copies of one making."""
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    kept = root / f"{name}-once"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
        if not kept.exists():
            made = factory.mktemp(name)
            make(made)
            shutil.copytree(made, root / f"{name}-part", symlinks=True).rename(kept)  # where no database is open
    return shutil.copytree(kept, factory.mktemp(name) / "project", symlinks=True)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A project whose director nolan went through every stage, beside fincher, who did not."""
    from tests.tiny_project import TinyProject

    def make(folder: Path) -> None:
        outcome = TinyProject.make(folder, directors=("nolan", "fincher")).run("nolan")
        assert outcome.code == 0, outcome.err

    return TinyProject(once(tmp_path_factory, "made", make))


@pytest.fixture(scope="session")
def both(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """The same once fincher has an adapter too, and both are judged."""
    from tests.tiny_project import TinyProject

    def make(folder: Path) -> None:
        outcome = made.copy(folder).run("nolan", "fincher", "--until", "evaluation")
        assert outcome.code == 0, outcome.err

    return TinyProject(once(tmp_path_factory, "both", make))


@pytest.fixture(scope="session")
def taught(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """What nolan has in `made`, and students of one and two steps since."""
    from tests.small_configs import change
    from tests.tiny_project import WHOLE_RUN, TinyProject

    def make(folder: Path) -> None:
        project = made.copy(folder)
        change(project.configs, "recipes/mini_lora", turbo=STUDENTS)
        outcome = project.run("nolan")
        assert outcome.code == 0, outcome.err
        (row,) = outcome.rows
        # The card tells of students too, and goes out anew, if it does; nothing else of the adapter was made again.
        assert row["reused"] >= WHOLE_RUN - 2

    return TinyProject(once(tmp_path_factory, "taught", make))
