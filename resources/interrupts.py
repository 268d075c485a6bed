"""Interrupts: a run that is terminated, or a machine that is taken back, while something is being trained.

Belongs here: turning Dagster's termination (the UI's button, SIGTERM, Ctrl-C) into a question that a training asks
between its steps, and back; and whether it is the run that is to end, or one machine that a step ran on.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt

from director_diffusion.specs.executors import CLUSTERS

LOST = 3  # times that one step may be, in a run
PAUSE_S = 5.0  # before a lost step is begun again
ENDING = {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE}


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Inside, interrupts only make the yielded function say True; once it is over, one that came ends the run.

    Dagster marks the run cancelled where its user asked for that, and failed otherwise.
    """
    from director_diffusion.training.stopping import TrainingStopped

    with capture_interrupts():
        try:
            yield check_captured_interrupt
        except TrainingStopped as stopped:
            raise dg.DagsterExecutionInterruptedError(str(stopped)) from stopped
        except Exception as error:
            if check_captured_interrupt():  # whatever else went wrong, the run was told to end
                raise dg.DagsterExecutionInterruptedError(f"interrupted; and {error}") from error
            raise
        if check_captured_interrupt():  # too late to stop a step: the training had ended, its weights are kept
            raise dg.DagsterExecutionInterruptedError("interrupted after the last step of a training, which is kept")


@contextmanager
def begun_again_where_machines_go(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> Iterator[None]:
    """Asks for another try of a step of a cluster that was told to end though its run goes on: its node is drained, or
    its job was stopped.

    Elsewhere a step and its run are processes of one machine: who ends the one means the other.
    """
    try:
        yield
    except dg.DagsterExecutionInterruptedError as told:
        if context.job_def.executor_def.name not in CLUSTERS or _is_ending(context):
            raise
        raise dg.RetryRequested(max_retries=LOST, seconds_to_wait=PAUSE_S) from told


def _is_ending(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> bool:
    run = context.instance.get_run_by_id(context.run_id)
    return run is None or run.status in ENDING
