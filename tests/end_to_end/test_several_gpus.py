"""`director run --gpus`: one director's training and samples shared by two processes, from the graph."""

import shutil
from pathlib import Path

import pytest

from director_diffusion import crew
from resources.machine import GPUS_TAG
from tests.tiny_project import CHILDREN, TinyProject

pytestmark = pytest.mark.xdist_group("children")


def test_two_processes_make_one_director_with_the_same_keys_and_pictures(
    made: TinyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures to the byte; weights but for the order of sums, so they are taken from the training of one."""
    monkeypatch.setattr(crew, "CONTEXT", CHILDREN)
    project = made.copy(tmp_path / "project")
    before = project.artifacts("nolan")
    store = project.folder / "store"
    shutil.rmtree(store / "assets/mini_lora/samples/nolan")
    shutil.rmtree(store / "cache/images")
    outcome = project.run("nolan", "--until", "samples", "--gpus", "2")
    assert outcome.code == 0, outcome.err
    assert project.artifacts("nolan") == before
    facts = {entry.label: entry.value for entry in project.latest("mini_lora/samples", "nolan").manifest.metadata}
    assert facts["processes that shared it"] == 2

    shutil.rmtree(store / "assets/mini_lora/adapter/nolan")
    shutil.rmtree(store / "cache/trainings")
    outcome = project.run("nolan", "--until", "adapter", "--gpus", "2")
    assert outcome.code == 0, outcome.err
    adapter = project.latest("mini_lora/adapter", "nolan").manifest
    facts = {entry.label: entry.value for entry in adapter.metadata}
    assert facts["processes that shared it"] == 2
    assert adapter.key == before["mini_lora/adapter"][0]
    with project.instance() as instance:
        assert instance.get_runs(limit=1)[0].tags[GPUS_TAG] == "2"


def test_more_gpus_than_the_deployment_has_are_refused_at_once(made: TinyProject) -> None:
    for command in ("run", "joint"):
        outcome = made.director(command, "--gpus", "2", DIRECTOR_DEPLOYMENT="gpu")
        assert outcome.code == 1
        assert "--gpus 2: is more than the GPUs of deployment gpu: 1. Give 1 or fewer." in outcome.err
