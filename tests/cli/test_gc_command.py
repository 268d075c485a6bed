"""`director gc`: when it removes, when it asks, and what it shows."""

import builtins
import json
import tempfile
from pathlib import Path

import pytest

from director_diffusion.storage import Store
from tests.lineages import DIRECTOR, Lineage
from tests.tiny_project import TinyProject

ALL = ("--keep-days", "0", "--keep-versions", "1")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyProject:
    """One version published, one withheld, and a newest one; made in the past."""
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))  # others' leftovers are none of a test's business
    project = TinyProject.make(tmp_path, directors=(DIRECTOR,))
    lineage = Lineage(project.store)
    lineage.made = lineage.made.replace(year=2020)
    lineage.reject(0)  # so that all data have that date
    lineage.publish(3)
    for step in (6, 9):
        lineage.publish(step, outcome="fail", status="withheld")
    return project


def artifacts(store: Store) -> set[str]:
    return {name for name in store.sizes("assets") if name.endswith("artifact.json")}


def test_nothing_goes_without_a_word(project: TinyProject) -> None:
    before = artifacts(project.store)
    for words in ((), ("--dry-run",), ("--dry-run", "--yes"), ("--json",)):
        outcome = project.director("gc", *ALL, *words)
        assert outcome.code == 0, outcome.err
        assert artifacts(project.store) == before
    told = project.director("gc", *ALL, "--dry-run").out
    assert "mini_lora/adapter" in told
    assert "Nothing was removed." in told
    assert "With --yes it goes." in project.director("gc", *ALL).out


def test_with_yes_it_goes_and_then_nothing_is_left_to_go(project: TinyProject) -> None:
    plan = json.loads(project.director("gc", *ALL, "--json").out)
    assert (plan["removed"], plan["bytes"] > 0) == (False, True)
    before = artifacts(project.store)
    went = json.loads(project.director("gc", *ALL, "--json", "--yes").out)
    assert went["removed"]
    assert went["removals"] == plan["removals"]
    gone = {f"{one['name'].removeprefix('assets/')}/artifact.json" for one in went["removals"]}
    assert artifacts(project.store) == before - gone
    assert "0 things may go" in project.director("gc", *ALL, "--yes").out


@pytest.mark.parametrize(("answer", "goes"), [("y", True), ("", False), ("no", False)])
def test_on_a_terminal_it_asks(
    project: TinyProject, monkeypatch: pytest.MonkeyPatch, answer: str, *, goes: bool
) -> None:
    before = artifacts(project.store)
    monkeypatch.setattr("pipelines.cli.gc._at_terminal", lambda: True)
    monkeypatch.setattr(builtins, "input", lambda question: answer)
    project.director("gc", *ALL)
    assert (artifacts(project.store) != before) is goes


def test_wrong_numbers_are_refused(project: TinyProject) -> None:
    for words in (("--keep-days", "-1"), ("--keep-versions", "0")):
        with pytest.raises(SystemExit):
            project.director("gc", *words)
