"""`kill -9` in any stage: the next run simply goes on, and ends in what an undisturbed run makes.

Belongs here: one director, killed in stage after stage.  benchmarks/faulting kills at random moments, many times.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.hashing import hash_bytes, short
from director_diffusion.sampling.prompts import CANARY_PICTURES
from resources.process_tags import PID
from tests.tiny_project import TinyProject

pytestmark = pytest.mark.xdist_group("children")

FIRST_CHECKPOINT, STEPS = 3, 6


@pytest.fixture
def project(made: TinyProject, tmp_path: Path) -> TinyProject:
    """A project with nothing made yet, and one slot for what wants a GPU."""
    project = TinyProject.make(tmp_path / "project", directors=("nolan", "fincher"))
    (project.folder / "dagster_home").mkdir()
    with project.instance() as instance:
        instance.event_log_storage.set_concurrency_slots("gpu", 1)
    return project


def exists(project: TinyProject, pattern: str, beside: int) -> Callable[[], bool]:
    """Whether the store holds something of this name `beside` what was there."""
    root = project.folder / "store"
    return lambda: sum(1 for _ in root.glob(pattern)) > beside


def lock_of(stage: str) -> str:
    """The note that names who writes a stage."""
    return f"locks/{short(hash_bytes(f'{stage}/nolan'.encode()))}.holder"


MOMENTS = {  # what is there once a stage is at work, in the order of the stages
    "placeholder stills": "stills/nolan/*/*.jpg",
    "stills": lock_of("stills"),
    "captions": "cache/captions/*/*",
    "mini/latents": "cache/latents/*/*",
    "mini_lora/adapter": f"work/trainings/mini_lora/adapter/nolan/*/step-{FIRST_CHECKPOINT:06d}",
    "mini_lora/samples": "cache/images/*/*",
    "mini_lora/evaluation": lock_of("mini_lora/evaluation"),
}
BEFORE = {"mini_lora/samples": 2 * CANARY_PICTURES}  # of the canary, with the first ones kept beside


def assert_nothing_half_written_shows(project: TinyProject) -> None:
    project.assert_whole("nolan")
    store = project.folder / "store"
    for manifest in store.glob("assets/**/artifact.json"):
        for file in json.loads(manifest.read_text())["files"]:
            assert (manifest.parent / file["name"]).stat().st_size == file["size"]


def test_killed_in_stage_after_stage_it_ends_as_if_undisturbed(made: TinyProject, project: TinyProject) -> None:
    for count, (stage, moment) in enumerate(MOMENTS.items()):
        child = project.start("nolan")
        child.wait_until(exists(project, moment, BEFORE.get(stage, 0)))
        child.kill()
        assert stage not in project.artifacts("nolan"), f"{stage} was over before it was killed"
        assert_nothing_half_written_shows(project)
        if count > 1:
            assert "had been killed; it is now marked failed" in child.err

    last = project.start("nolan").end()
    assert last.code == 0, last.err
    undisturbed, found = made.artifacts("nolan"), project.artifacts("nolan")
    card, published = "mini_lora/model_card", "mini_lora/published_model"
    for place, told in ((0, published), (1, card)):  # a card tells how long each stage took, and its reader's key that
        of = [{name: one[place] for name, one in some.items() if name != told} for some in (found, undisturbed)]
        assert of[0] == of[1], "keys and contents of an undisturbed run"
    assert_nothing_half_written_shows(project)
    assert not list((project.folder / "store" / "work").rglob("step-*")), "checkpoints go when the adapter is there"

    with project.instance() as instance:
        runs = instance.get_runs()
        statuses = [run.status for run in runs]
        ended = [dg.DagsterRunStatus.SUCCESS] * 2  # the director's, and the leaderboard's
        assert statuses == ended + [dg.DagsterRunStatus.FAILURE] * (len(MOMENTS) - 1)
        slots = instance.event_log_storage.get_concurrency_info("gpu")
        assert (slots.active_slot_count, slots.pending_step_count) == (0, 0)
        observed = instance.fetch_observations(dg.AssetKey(["mini_lora", "adapter"]), limit=100).records
        steps: dict[str, set[int]] = {}
        for record in observed:
            assert record.asset_observation is not None
            steps.setdefault(record.run_id, set()).add(int(record.asset_observation.metadata["step"].value))
        killed, resumed = (steps[run.run_id] for run in reversed(runs) if run.run_id in steps)
    assert max(killed) == FIRST_CHECKPOINT
    assert resumed == {STEPS}, "it went on from its checkpoint"


def test_of_directors_side_by_side_a_killed_one_is_told_and_the_other_is_made(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "project", directors=("nolan", "fincher"))
    (project.folder / "dagster_home").mkdir()
    project.instance().dispose()  # makes the tables, which only `director` does safely beside others

    def kill_the_first() -> dg.DagsterRun:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with project.instance() as instance:
                found = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
            if found:
                assert int(found[0].tags[PID]) != os.getpid(), "each director has a process of its own"
                os.kill(int(found[0].tags[PID]), signal.SIGKILL)
                return found[0]
            time.sleep(0.05)
        raise AssertionError("no run was begun")

    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(kill_the_first)
        outcome = project.run("nolan", "fincher", "--until", "captions", "--at-once", "2")
        run = first.result(0)
    killed = run.tags["dagster/partition"]
    (other,) = {"nolan", "fincher"} - {killed}
    assert outcome.code == 1
    errors = {row["director"]: row["errors"] for row in outcome.rows}
    assert "its process was killed by signal 9" in errors[killed][0]
    assert errors[other] == []
    assert "captions" in project.artifacts(other)
    with project.instance() as instance:
        again = instance.get_run_by_id(run.run_id)
    assert again is not None
    assert again.status == dg.DagsterRunStatus.FAILURE, "and marked so at once"
