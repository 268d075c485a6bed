"""Which process a run lives in, as run tags, so that others can tell when it has died."""

import multiprocessing
import os
import socket

import dagster as dg
import psutil

HOST, PID, STARTED = "director/host", "director/pid", "director/process_started"


def process_tags(pid: int) -> dict[str, str]:
    """Tags that name a process of this host; its start time tells it from a later one with the same number."""
    return {HOST: socket.gethostname(), PID: str(pid), STARTED: str(psutil.Process(pid).create_time())}


def tag_run_with_process(context: dg.AssetExecutionContext) -> None:
    """Say in the run's tags which process runs it: this one, or its parent where every step has its own."""
    if PID in context.run.tags:
        return
    in_child = context.job_def.executor_def.name == "multiprocess" and multiprocessing.parent_process() is not None
    context.instance.add_run_tags(context.run.run_id, process_tags(os.getppid() if in_child else os.getpid()))


def process_is_gone(tags: dict[str, str]) -> bool | None:
    """Whether the process named by these tags has died; None where they name none of this host."""
    if PID not in tags or tags.get(HOST) != socket.gethostname():
        return None
    try:
        process = psutil.Process(int(tags[PID]))
        return str(process.create_time()) != tags[STARTED] or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
