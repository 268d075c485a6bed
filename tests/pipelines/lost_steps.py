"""A job whose steps are processes of their own: one is lost once, one is told to end once, one fails by itself.

`test_executors` runs it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent
from dagster._core.executor.init import InitExecutorContext
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepHandler, StepHandlerContext
from dagster._core.launcher import DefaultRunLauncher

from pipelines.executors.delegating import Delegating
from resources.interrupts import begun_again_where_machines_go
from resources.process_tags import PID

FOLDER = "LOST_STEPS"  # variable: where steps leave a mark


class Processes(StepHandler):
    """Steps as processes of this machine, in the place of a cluster's."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def name(self) -> str:
        return "Processes"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        args = step_handler_context.execute_step_args
        (step,) = args.step_keys_to_execute or ()
        told = {one["name"]: one["value"] for one in args.get_command_env()}
        command = [sys.executable, "-m", *args.get_command_args(skip_serialized_namedtuple=True)]  # not PATH's dagster
        self._processes[step] = subprocess.Popen(command, env={**os.environ, **told}, stdout=subprocess.DEVNULL)
        yield from ()

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        (step,) = step_handler_context.execute_step_args.step_keys_to_execute or ()
        if self._processes[step].poll() in (None, 0):
            return CheckStepHealthResult.healthy()
        return CheckStepHealthResult.unhealthy("its process is gone")

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        for process in self._processes.values():
            process.terminate()
        yield from ()


class Resuming(DefaultRunLauncher):
    """Says that it would take up runs whose process is gone, as those of clusters do."""

    @property
    def supports_resume_run(self) -> bool:
        return True


@dg.executor(name="kubernetes", requirements=multiple_process_executor_requirements())
def processes(context: InitExecutorContext) -> Delegating:
    return Delegating(Processes(), looks_every_s=1)


def _mark(name: str) -> int:
    """How often it was called."""
    path = Path(os.environ[FOLDER]) / name
    with path.open("a") as file:
        file.write("x")
    return len(path.read_text())


@dg.op(pool="gpu")
def lost() -> int:
    if _mark("lost") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


@dg.op
def drained(context: dg.OpExecutionContext, number: int) -> int:
    with begun_again_where_machines_go(context):
        if _mark("drained") == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)  # the signal comes first
    return number


@dg.op
def broken(number: int) -> None:
    _mark("broken")
    raise ValueError("fails by itself")


@dg.op
def terminated(context: dg.OpExecutionContext) -> None:
    """Somebody ends the run, whose own process alone is told, while this step is at work."""
    run = context.instance.get_run_by_id(context.run_id)
    assert run is not None
    context.instance.report_run_canceling(run)
    os.kill(int(run.tags[PID]), signal.SIGINT)
    try:
        time.sleep(120)
    except DagsterExecutionInterruptedError:
        _mark("told")
        raise


@dg.job(executor_def=processes)
def ended() -> None:
    terminated()


@dg.job(executor_def=processes)
def steps() -> None:
    broken(drained(lost()))
