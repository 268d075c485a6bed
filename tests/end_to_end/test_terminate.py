"""Terminating a run while it trains, from the UI and by a signal: a checkpoint is saved, and all that it held is free.

Belongs here: what Dagster, the terminal and the next run see.  The bytes are tests/training's.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from resources.process_tags import PID
from tests.dagster_server import DagsterServer
from tests.small_configs import change, surroundings_of
from tests.tiny_project import TinyProject

pytestmark = pytest.mark.timeout(600)

ADAPTER, STEPS = "mini_lora/adapter", 5000


@pytest.fixture
def project(made: TinyProject, tmp_path: Path) -> TinyProject:
    """A project that has everything but a long training, and one slot for what wants a GPU."""
    project = made.copy(tmp_path / "project")
    change(project.configs, "recipes/mini_lora", steps=STEPS, checkpoint_every=STEPS)
    with project.instance() as instance:
        instance.event_log_storage.set_concurrency_slots("gpu", 1)
    return project


def checkpoints(project: TinyProject) -> list[int]:
    """Steps of which there is a checkpoint."""
    found = (project.folder / "store" / "work").rglob("step-*")
    return sorted(int(path.name.removeprefix("step-")) for path in found)


def steps_of(project: TinyProject, run_id: str) -> list[int]:
    """Steps that a run has told of, ascending."""
    with project.instance() as instance:
        records = instance.fetch_observations(dg.AssetKey(ADAPTER.split("/")), limit=1000).records
    observed = [record.asset_observation for record in records if record.run_id == run_id]
    return sorted(int(one.metadata["step"].value) for one in observed if one is not None)  # type: ignore[arg-type]


def newest_run(project: TinyProject) -> dg.DagsterRun:
    with project.instance() as instance:
        return instance.get_runs(limit=1)[0]


def assert_all_is_free(project: TinyProject) -> None:
    """Pool slot and writer's lock."""
    with project.instance() as instance:
        slots = instance.event_log_storage.get_concurrency_info("gpu")
    assert (slots.active_slot_count, slots.pending_step_count) == (0, 0)
    assert not list((project.folder / "store" / "locks").glob("*.holder"))


def wait_until(reached: Callable[[], bool], what: Callable[[], str], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


# --- by a signal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sign", "times"), [(signal.SIGTERM, 2), (signal.SIGINT, 1)], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_saves_a_checkpoint_and_ends_the_command_in_a_line(
    project: TinyProject, sign: signal.Signals, times: int
) -> None:
    saved = 0
    for _ in range(times):
        child = project.start("nolan", "fincher", "--until", "adapter")
        before = newest_run(project).run_id
        child.wait_until(lambda before=before: newest_run(project).run_id != before)  # type: ignore[misc]
        run_id = newest_run(project).run_id
        child.wait_until(lambda run_id=run_id, saved=saved: max(steps_of(project, run_id), default=0) > saved)  # type: ignore[misc]
        os.kill(child.process.pid or 0, sign)
        outcome = child.end(30)

        assert outcome.code == 130
        assert outcome.out == ""
        assert "Traceback" not in outcome.err
        said = outcome.err.strip().splitlines()[-1]
        told = re.fullmatch(
            rf"director: {ADAPTER} stopped after step (\d+) of {STEPS}, saved: it goes on from there when it is run "
            r"again\.",
            said,
        )
        assert told, outcome.err
        assert min(steps_of(project, run_id)) >= saved, "the second went on from the first"
        assert int(told[1]) > saved
        saved = int(told[1])
        assert checkpoints(project)[-1] == saved
        run = newest_run(project)
        assert run.run_id == run_id, "no other director was begun"
        assert run.status == dg.DagsterRunStatus.FAILURE, "nobody asked Dagster to cancel it"
        assert_all_is_free(project)


# --- from the UI -------------------------------------------------------------------------------------------------


@pytest.fixture
def own_server(project: TinyProject) -> Iterator[DagsterServer]:
    """One of its own: the training that others share has a few steps."""
    server = DagsterServer(project.folder, surroundings_of(project.folder))
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


TERMINATE = """mutation($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""


@pytest.mark.e2e
def test_terminated_in_the_ui_it_saves_a_checkpoint_and_goes_on_when_launched_again(
    project: TinyProject, own_server: DagsterServer
) -> None:
    saved: list[int] = []
    for _ in range(2):
        run_id = own_server.launch("make_mini_lora", "nolan", assets=[ADAPTER])
        known = saved[-1] if saved else 0
        wait_until(lambda run_id=run_id, known=known: max(steps_of(project, run_id), default=0) > known, own_server.log)  # type: ignore[misc]
        process = psutil.Process(int(newest_run(project).tags[PID]))
        assert own_server.ask(TERMINATE, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
        wait_until(lambda run_id=run_id: own_server.status(run_id) == "CANCELED", own_server.log, 30)  # type: ignore[misc]
        psutil.wait_procs([process], timeout=20)
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "the device is free"
        saved.append(checkpoints(project)[-1])
        assert_all_is_free(project)
    first, second = saved
    assert 0 < first < second < STEPS
    assert min(steps_of(project, newest_run(project).run_id)) > first, "no step was trained twice"
