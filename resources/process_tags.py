"""Which process a run lives in, as run tags, so that others can tell when it has died."""

import multiprocessing
import os
import socket
from collections.abc import Mapping

import dagster as dg
import psutil

HOST, PID, STARTED = "director/host", "director/pid", "director/process_started"
RUN = "director/process_of_run"  # a run that repeats another gets its tags too: without this, its dead process's
CLOCK_SLACK_S = 60.0  # start times are told against the system clock, which may be set in between


def process_tags(run_id: str, pid: int) -> dict[str, str]:
    """Tags that name a run's process on this host; its start time tells it from a later one with the same number."""
    return {
        RUN: run_id,
        HOST: socket.gethostname(),
        PID: str(pid),
        STARTED: str(psutil.Process(pid).create_time()),
    }


def tag_run_with_process(context: dg.AssetExecutionContext) -> None:
    """Say in the run's tags which process runs it: this one, or its parent where every step has its own.

    Where steps are sent to other machines, the run has said it before its first step began.
    """
    if context.run.tags.get(RUN) == context.run.run_id:
        return
    in_child = context.job_def.executor_def.name == "multiprocess" and multiprocessing.parent_process() is not None
    pid = os.getppid() if in_child else os.getpid()
    context.instance.add_run_tags(context.run.run_id, process_tags(context.run.run_id, pid))


def tag_run_with_this_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Say that a run lives in this process from now on, whichever it lived in before."""
    instance.add_run_tags(run_id, process_tags(run_id, os.getpid()))


def process_is_gone(run_id: str, tags: Mapping[str, str]) -> bool | None:
    """Whether the process that these tags name for a run has died; None where they name none of this host."""
    if tags.get(RUN) != run_id or tags.get(HOST) != socket.gethostname():
        return None
    try:
        process = psutil.Process(int(tags[PID]))
        another = abs(process.create_time() - float(tags[STARTED])) > CLOCK_SLACK_S
        return another or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
