"""The machine: what a step may know of where it runs, and how it tells how far it is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from director_diffusion.progress import Progress, Task
from resources.pictures import image_markdown

if TYPE_CHECKING:
    from PIL.Image import Image


class MachineResource(dg.ConfigurableResource):
    """The deployment's device and batch sizes, which never change what comes out."""

    device: str
    captioning_batch: int
    training_processes: int = 1


def partition_of(context: dg.AssetExecutionContext) -> str | None:
    """The partition that this step makes; None for an asset without partitions, even in a run that has one."""
    return context.partition_key if context.assets_def.partitions_def is not None else None


class LogProgress:
    """Progress in the run's log, a line per tenth; training numbers and sample grids as asset observations."""

    def __init__(self, context: dg.AssetExecutionContext):
        self._context = context

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        yield _LogTask(self._context.log.info, title, total)

    def observe(self, step: int, values: dict[str, float]) -> None:
        self._log({"step": step, **values})

    def show(self, step: int, title: str, image: "Image") -> None:
        self._log({"step": step, title: dg.MetadataValue.md(image_markdown(image, f"{title}, step {step}"))})

    def note(self, text: str) -> None:
        self._context.log.info(text)

    def _log(self, metadata: Mapping[str, Any]) -> None:
        self._context.log_event(
            dg.AssetObservation(
                asset_key=self._context.asset_key, partition=partition_of(self._context), metadata=metadata
            )
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
