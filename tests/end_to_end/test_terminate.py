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
from tests.tiny_project import Child, TinyProject

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("children")]

ADAPTER, STEPS = "mini_lora/adapter", 5000
EVERY_S = 0.5  # how often is looked into Dagster's records


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


def trains_beyond(saved: int, project: TinyProject, child: Child, before: str) -> str:
    """Wait until a run after the one `before` has told of a step after those saved.  Returns its id."""
    child.wait_until(lambda: newest_run(project).run_id != before, every_s=EVERY_S)
    run_id = newest_run(project).run_id
    child.wait_until(lambda: max(steps_of(project, run_id), default=0) > saved, every_s=EVERY_S)
    return run_id


def wait_until(reached: Callable[[], bool], what: Callable[[], str], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, what()
        time.sleep(EVERY_S)


# --- by a signal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sign", "times"), [(signal.SIGTERM, 2), (signal.SIGINT, 1)], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_saves_a_checkpoint_and_ends_the_command_in_a_line(
    project: TinyProject, sign: signal.Signals, times: int
) -> None:
    saved = 0
    for _ in range(times):
        child = project.start("nolan", "fincher", "--until", "adapter")
        before = newest_run(project).run_id
        run_id = trains_beyond(saved, project, child, before)
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
def test_terminated_in_the_ui_it_saves_a_checkpoint_and_goes_on_when_run_again(
    project: TinyProject, own_server: DagsterServer
) -> None:
    run_id = own_server.launch("make_mini_lora", "nolan", assets=[ADAPTER])
    wait_until(lambda: max(steps_of(project, run_id), default=0) > 0, own_server.log)
    process = psutil.Process(int(newest_run(project).tags[PID]))
    assert own_server.ask(TERMINATE, id=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
    wait_until(lambda: own_server.status(run_id) == "CANCELED", own_server.log, 30)
    psutil.wait_procs([process], timeout=20)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "the device is free"
    (first,) = checkpoints(project)
    assert 0 < first < STEPS
    assert_all_is_free(project)

    child = project.start("nolan", "--until", "adapter")  # on the same instance, at a fraction of the server's price
    again = trains_beyond(first, project, child, run_id)
    child.kill()
    assert min(steps_of(project, again)) > first, "no step was trained twice"
