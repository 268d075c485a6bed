"""Interrupts: a run that is terminated, or a machine that is taken back, while something is being trained.

Belongs here: turning Dagster's termination (the UI's button, SIGTERM, Ctrl-C) into a question that a training asks
between its steps, and back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.interrupts import capture_interrupts, check_captured_interrupt


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
            raise DagsterExecutionInterruptedError(str(stopped)) from stopped
        except Exception as error:
            if check_captured_interrupt():  # whatever else went wrong, the run was told to end
                raise DagsterExecutionInterruptedError(f"interrupted; and {error}") from error
            raise
        if check_captured_interrupt():  # too late to stop a step: the training had ended, its weights are kept
            raise DagsterExecutionInterruptedError("interrupted after the last step of a training, which is kept")
