"""Progress bars of a run, on the terminal, one per stage and task."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from director_diffusion.progress import Progress, Task
from resources.machine import LogProgress, partition_of

if TYPE_CHECKING:
    from PIL.Image import Image


class TerminalProgress:
    """Takes the place of the `progress` resource: bars here, and observations in the UI as ever."""

    def __init__(self, console: Console):
        self.bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )

    def of(self, context: dg.AssetExecutionContext) -> Progress:
        stage = context.asset_key.to_user_string()
        return _StageBars(self.bars, f"{partition_of(context) or '':<12} {stage}".lstrip(), LogProgress(context))

    def plain(self, title: str) -> Progress:
        """Bars of work outside any run."""
        return _StageBars(self.bars, title, None)


class _StageBars:
    def __init__(self, bars: Bars, prefix: str, log: LogProgress | None):
        self._bars, self._prefix, self._log = bars, prefix, log

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        handle = self._bars.add_task(f"{self._prefix}: {title}", total=total, note="")
        try:
            yield _Bar(self._bars, handle)
        finally:
            self._bars.stop_task(handle)

    def observe(self, step: int, values: dict[str, float]) -> None:
        if self._log is not None:
            self._log.observe(step, values)

    def show(self, step: int, title: str, image: "Image") -> None:
        if self._log is not None:
            self._log.show(step, title, image)

    def note(self, text: str) -> None:
        self._bars.console.print(f"{self._prefix}: {text}", markup=False, highlight=False, soft_wrap=True)


class _Bar:
    def __init__(self, bars: Bars, handle: TaskID):
        self._bars, self._handle = bars, handle

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._bars.update(self._handle, advance=steps, note=note)
