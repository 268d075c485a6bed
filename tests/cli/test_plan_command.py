"""`director plan`: what would run, why, and what it would take."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lineages import DIRECTOR, Lineage
from tests.tiny_project import TinyProject

ROOTS = {"raw_stills", "still_decisions", "written_captions", "director"}


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    return TinyProject.make(tmp_path, directors=(DIRECTOR, "varda"))


def plan(project: TinyProject, *words: str) -> dict[str, dict[str, Any]]:
    outcome = project.director("plan", *words, "--json")
    assert outcome.code == 0, outcome.err
    return {step["asset"]: step for step in json.loads(outcome.out) if step["director"] == DIRECTOR}


def test_of_what_was_never_made_all_would_run_by_the_figures_of_others(project: TinyProject) -> None:
    steps = plan(project, DIRECTOR)
    assert {"stills", "mini_lora/adapter", "mini_lora/published_model"} | ROOTS <= steps.keys()
    assert {step["state"] for step in steps.values()} == {"missing"}
    assert steps["mini_lora/adapter"]["figures"] is None
    others = Lineage(project.store, "varda", brought=False)
    published = others.publish(3)
    size = sum(file.size for file in published.adapter.manifest.files)
    assert plan(project, DIRECTOR)["mini_lora/adapter"]["figures"] == {"measured": 1, "seconds": 0.0, "bytes": size}
    told = project.director("plan", DIRECTOR).out
    assert "no figure yet" in told
    assert "would run" in told


def test_it_makes_nothing(project: TinyProject) -> None:
    before = project.store.sizes("assets")
    plan(project)
    assert project.store.sizes("assets") == before


def test_after_a_look_at_the_roots_only_what_is_left_would_run_and_an_edit_is_told(project: TinyProject) -> None:
    assert project.run(DIRECTOR, "--until", "raw_stills").code == 0
    steps = plan(project, DIRECTOR)
    assert "raw_stills" not in steps
    assert steps["stills"]["state"] == "missing"
    project.store.delete(f"assets/raw_stills/{DIRECTOR}")
    assert plan(project, DIRECTOR)["raw_stills"]["why"] == "the store has none"
