"""`director plan`: what would run, why, and what it would take."""

import json
from pathlib import Path
from typing import Any

import pytest

from director_diffusion.training.picks import encode_pick, pick_name
from director_diffusion.training.rows import Pick
from tests.lineages import DIRECTOR, RECIPE, Lineage
from tests.small_configs import change
from tests.tiny_project import TinyProject

OTHER = "fincher"
CHANGED = "people have changed what it looks at"
ROOTS = {"raw_stills", "still_decisions", "written_captions", "director"}


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    return TinyProject.make(tmp_path, directors=(DIRECTOR, OTHER))


def plan(project: TinyProject, *words: str) -> dict[str, dict[str, Any]]:
    outcome = project.director("plan", *words, "--json")
    assert outcome.code == 0, outcome.err
    return {step["asset"]: step for step in json.loads(outcome.out) if step["director"] == DIRECTOR}


def test_of_what_was_never_made_all_would_run_by_the_figures_of_others(project: TinyProject) -> None:
    steps = plan(project, DIRECTOR)
    assert {"stills", "mini_lora/adapter", "mini_lora/published_model"} | ROOTS <= steps.keys()
    assert {step["state"] for step in steps.values()} == {"missing"}
    assert steps["mini_lora/adapter"]["figures"] is None
    others = Lineage(project.store, OTHER, brought=False)
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


def test_what_is_stale_is_told_with_its_cause_and_what_may_follow(project: TinyProject) -> None:
    assert project.run(DIRECTOR, "--until", "reference_set").code == 0
    steps = plan(project, DIRECTOR)
    assert not {"raw_stills", "stills", "reference_set"} & steps.keys()
    assert steps["captions"]["state"] == "missing"

    change(project.configs, f"directors/{DIRECTOR}", stills={"max_megapixels": 1})
    steps = plan(project, DIRECTOR)  # no run has looked at it yet
    assert (steps["director"]["state"], steps["director"]["why"]) == ("stale", CHANGED)
    assert steps["stills"]["state"] == "may follow"
    assert project.run(DIRECTOR, "--until", "director").code == 0
    steps = plan(project, DIRECTOR)
    assert steps["stills"]["state"] == "stale"
    assert "(director)" in steps["stills"]["why"]
    assert steps["stills"]["figures"]["measured"] == 1
    assert steps["stills"]["figures"]["bytes"] > 0
    assert (steps["reference_set"]["state"], steps["reference_set"]["why"]) == (
        "may follow",
        "if another comes of stills",
    )
    project.store.delete(f"assets/reference_set/{DIRECTOR}")
    assert plan(project, DIRECTOR)["reference_set"]["why"] == "the store has none"


def test_what_people_change_is_seen_before_a_run_looks_at_it(project: TinyProject) -> None:
    for stage in ("stills", "written_captions", "pick"):
        assert project.run(DIRECTOR, "--until", stage).code == 0
    assert not {*ROOTS, "mini_lora/pick", "stills"} & plan(project, DIRECTOR).keys()
    still = next(name for name in sorted(project.store.sizes(f"stills/{DIRECTOR}")) if name.endswith(".jpg"))
    project.store.write(f"stills/{DIRECTOR}/{still.removesuffix('.jpg')}.txt", b"another caption")
    pick = Pick(training="x", step=2, strength=1.0, who="ann", why="calmer")
    project.store.write(pick_name(RECIPE, DIRECTOR), encode_pick(pick).encode())
    before = project.store.sizes("assets")
    steps = plan(project, DIRECTOR)
    told = {asset for asset, step in steps.items() if step["why"] == CHANGED}
    assert told == {"written_captions", "mini_lora/pick"}
    assert not {"raw_stills", "still_decisions", "director", "stills"} & steps.keys()
    project.store.write(f"stills/{DIRECTOR}/new/1.jpg", project.store.read(f"stills/{DIRECTOR}/{still}"))
    steps = plan(project, DIRECTOR)
    assert steps["raw_stills"]["why"] == CHANGED
    assert steps["stills"]["state"] == "may follow"
    assert project.store.sizes("assets") == before
