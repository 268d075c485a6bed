"""The machine: what a step may know of where it runs, and how it tells how far it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

from director_diffusion.progress import Progress, Task


class MachineResource(dg.ConfigurableResource):
    """The deployment's device and batch sizes, which never change what comes out."""

    device: str
    captioning_batch: int


class LogProgress:
    """Progress in the run's log, a line per tenth, and training numbers as asset observations."""

    def __init__(self, context: dg.AssetExecutionContext):
        self._context = context

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        yield _LogTask(self._context.log.info, title, total)

    def observe(self, step: int, values: dict[str, float]) -> None:
        metadata = {"step": step, **values}
        partition = self._context.partition_key if self._context.has_partition_key else None
        self._context.log_event(
            dg.AssetObservation(asset_key=self._context.asset_key, partition=partition, metadata=metadata)
        )


class _LogTask:
    def __init__(self, log: Callable[[str], None], title: str, total: int):
        self._log, self._title, self._total, self._done = log, title, total, 0

    def advance(self, steps: int = 1, note: str = "") -> None:
        before, self._done = self._done, self._done + steps
        if self._total and before * 10 // self._total != self._done * 10 // self._total:
            self._log(f"{self._title}: {self._done} of {self._total}{f', {note}' if note else ''}")


class ProgressResource(dg.ConfigurableResource):
    """Progress in the run's log; a command may put its own resource in this place."""

    def of(self, context: dg.AssetExecutionContext) -> Progress:
        return LogProgress(context)
