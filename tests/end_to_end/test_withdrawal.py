"""`director withdraw` over a project that went through every stage: nothing of the still is in its store or records."""

import json
import os
from collections.abc import Collection
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.captions.rows import FILE as CAPTIONS_FILE
from director_diffusion.captions.rows import Caption
from director_diffusion.errors import StoreError
from director_diffusion.stills.rows import STILLS_FILE, Still
from resources.process_tags import PID, process_tags
from tests.tiny_project import TinyProject

HASHES_STAY = ("learned.json", "provenance.json")  # an adapter says what it has seen, by id and hash


@pytest.fixture(scope="module")
def project(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """nolan's is whole; fincher went as far as stills, and has files called as nolan's are."""
    project = made.copy(tmp_path_factory.mktemp("withdrawal"))
    outcome = project.run("fincher", "--until", "stills")
    assert outcome.code == 0, outcome.err
    return project


@pytest.fixture(scope="module")
def still(project: TinyProject) -> tuple[Still, Caption, bytes]:
    """One that was trained on, with a caption of its own, as it was brought."""
    rows = project.latest("stills", "nolan").table(STILLS_FILE, Still)
    captions = {one.still: one for one in project.latest("captions", "nolan").table(CAPTIONS_FILE, Caption)}
    one = next(row for row in rows if row.split == "train" and captions[row.still].source == "person")
    return one, captions[one.still], (project.stills("nolan") / one.film / one.name).read_bytes()


def traces(project: TinyProject, still: Still, caption: Caption, others: Collection[str] = ()) -> dict[str, set[str]]:
    """Files of store and records, but for those of `others`, by what of the still they quote, or are called by."""
    words = {still.still, still.sha256, f"{still.film}/{still.name}", caption.text}
    found: dict[str, set[str]] = {}
    for top in ("store", "dagster_home"):
        for path in (project.folder / top).rglob("*"):
            if path.is_file():
                content, name = path.read_bytes(), str(path.relative_to(project.folder))
                if name in others:
                    continue
                if quoted := {word for word in words if word.encode() in content or word in name}:
                    found[name] = quoted
    return found


def is_finchers(project: TinyProject, name: str) -> bool:
    """fincher's files, and the records of his run."""
    if "/fincher/" in name:
        return True
    with project.instance() as instance:
        runs = instance.get_run_records(dg.RunsFilter(tags={"dagster/partition": "fincher"}))
    return any(record.dagster_run.run_id in name for record in runs)


def _locked(storage: object) -> list[str]:
    raise StoreError("the records", "are locked", "Run it again.")


def test_a_withdrawal_leaves_no_trace_and_it_does_not_come_back(
    project: TinyProject, still: tuple[Still, Caption, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, caption, data = still
    before = traces(project, one, caption)
    assert {name.split("/")[0] for name in before} == {"store", "dagster_home"}

    with project.instance() as instance:  # one that was killed: it is nobody's to wait for, and a look changes nothing
        killed = dg.DagsterRun(job_name="make", status=dg.DagsterRunStatus.STARTED)
        instance.add_run(killed)
        instance.add_run_tags(killed.run_id, {**process_tags(killed.run_id, os.getpid()), PID: str(2**22 + 1)})
    shown = project.director("withdraw", "nolan", f"{one.film}/{one.name}", "--source", "--dry-run")
    assert shown.code == 0, shown.err
    with project.instance() as instance:
        assert instance.get_run_by_id(killed.run_id).status is dg.DagsterRunStatus.STARTED
    assert "Nothing was removed." in shown.out
    assert "mini_lora/adapter of nolan" in shown.out
    assert traces(project, one, caption) == before

    command = ("withdraw", "nolan", f"{one.film}/{one.name}", "--source", "--yes", "--json", "--who", "ann")
    with monkeypatch.context() as patch:  # as where somebody else is at the records for long
        patch.setattr("pipelines.history._compact", _locked)
        cut_off = project.director(*command)
    assert (cut_off.code, "are locked" in cut_off.err) == (1, True), cut_off.err
    told = project.director(*command)
    assert told.code == 0, told.err
    went, _ = json.loads(told.out)["withdrawals"]
    assert [use["asset"] for use in went["learners"]] == ["mini_lora/adapter"]
    left = traces(project, one, caption, {name for name in before if is_finchers(project, name)})
    assert left.pop("store/withdrawn/nolan.json") == {one.sha256}
    assert {Path(name).name for name in left} <= set(HASHES_STAY)
    assert set.union(*left.values()) <= {one.still, one.sha256}

    with project.instance() as instance:
        runs = instance.get_run_records()
        assert {record.dagster_run.tags.get("dagster/partition") for record in runs} == {"fincher", None}
        for asset, there in (("stills", {"fincher"}), ("captions", set())):
            key = dg.AssetKey([asset])
            assert instance.get_materialized_partitions(key) == there
            latest = instance.get_latest_materialization_event(key)
            assert (latest is not None) == bool(there)

    folder = project.stills("nolan") / "another film"
    folder.mkdir()
    (folder / "renamed.jpg").write_bytes(data)
    outcome = project.run("nolan", "--until", "stills")
    assert outcome.code == 0, outcome.err
    rows = {row.name: row for row in project.latest("stills", "nolan").table(STILLS_FILE, Still)}
    assert (rows["renamed.jpg"].status, rows["renamed.jpg"].reason[:9]) == ("rejected", "withdrawn")
    assert one.name not in {row.name for row in rows.values() if row.film == one.film}
    plan = project.director("plan", "nolan", "--json")
    assert "mini_lora/adapter" in plan.out


def test_words_that_mean_nothing_are_refused(project: TinyProject) -> None:
    assert "is no director" in project.director("withdraw", "nobody", "a.jpg").err
    refused = project.director("withdraw", "fincher", "no_such_film/a.jpg", "--yes")
    assert (refused.code, "is no still that fincher has or had" in refused.err) == (1, True)
