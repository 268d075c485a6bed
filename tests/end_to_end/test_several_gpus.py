"""`director run --gpus`: one director's training and samples shared by two processes, from the graph."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from director_diffusion import crew
from director_diffusion.storage import Manifest
from resources.needs import GPUS_TAG
from resources.secrets import hide_in_logs
from tests.tiny_project import CHILDREN, TinyProject

pytestmark = pytest.mark.xdist_group("children")


def test_two_processes_make_one_director_with_the_same_keys_and_pictures(
    made: TinyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures to the byte; weights but for the order of sums, so they are taken from the training of one.  Each begins
    with hiding secrets in what it logs."""
    begun, start = list[object](), crew._start

    def noted(of: crew.Crew, *arguments: Any) -> object:
        begun.append(of.at_start)
        return start(of, *arguments)

    monkeypatch.setattr(crew, "CONTEXT", CHILDREN)
    monkeypatch.setattr(crew, "_start", noted)
    project = made.copy(tmp_path / "project")
    before = project.artifacts("nolan")
    store = project.folder / "store"

    def by_two(stage: str, *lost: str) -> Manifest:
        for folder in (f"assets/mini_lora/{stage}/nolan", *lost):
            shutil.rmtree(store / folder)
        outcome = project.run("nolan", "--until", stage, "--gpus", "2")
        assert outcome.code == 0, outcome.err
        manifest = project.latest(f"mini_lora/{stage}", "nolan").manifest
        assert {entry.label: entry.value for entry in manifest.metadata}["processes that shared it"] == 2
        return manifest

    samples = by_two("samples", "cache/images")
    assert (samples.key, samples.version) == before["mini_lora/samples"]
    adapter = by_two("adapter", "cache/trainings")
    assert adapter.key == before["mini_lora/adapter"][0]
    with project.instance() as instance:
        assert instance.get_runs(limit=1)[0].tags[GPUS_TAG] == "2"
    assert begun == [hide_in_logs] * 4


def test_more_gpus_than_the_deployment_has_are_refused_at_once(made: TinyProject) -> None:
    for command in ("run", "joint"):
        outcome = made.director(command, "--gpus", "2", DIRECTOR_DEPLOYMENT="gpu")
        assert outcome.code == 1
        assert "--gpus 2: is more than the GPUs of deployment gpu: 1. Give 1 or fewer." in outcome.err
