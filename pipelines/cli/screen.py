"""The terminal of a run: progress bars, one per stage and task, and remarks.

Belongs here: what is shown, by whichever process; how processes are spread over directors is `workers`'.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from director_diffusion.progress import Progress, Task
from resources.machine import LogProgress, partition_of

if TYPE_CHECKING:
    from PIL.Image import Image


class Screen(Protocol):
    """Somewhere that bars and remarks appear."""

    def open_bar(self, title: str, total: int) -> int:
        """A new bar.  Returns its number."""

    def advance(self, bar: int, steps: int, note: str) -> None:
        """`steps` more are done of a bar; `note` stands behind it."""

    def close_bar(self, bar: int) -> None:
        """Stop its clock."""

    def say(self, text: str) -> None:
        """A line above the bars."""


class Terminal:
    """This process's terminal; bars are alive inside `with terminal.bars`."""

    def __init__(self, console: Console):
        self.bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )

    def open_bar(self, title: str, total: int) -> int:
        return self.bars.add_task(title, total=total, note="")

    def advance(self, bar: int, steps: int, note: str) -> None:
        self.bars.update(TaskID(bar), advance=steps, note=note)

    def close_bar(self, bar: int) -> None:
        self.bars.stop_task(TaskID(bar))

    def say(self, text: str) -> None:
        self.bars.console.print(text, markup=False, highlight=False, soft_wrap=True)


class ScreenProgress:
    """Takes the place of the `progress` resource: bars on a screen, and observations in the UI as ever."""

    def __init__(self, screen: Screen):
        self._screen = screen

    def of(self, context: dg.AssetExecutionContext) -> Progress:
        stage = context.asset_key.to_user_string()
        return _StageBars(self._screen, f"{partition_of(context) or '':<12} {stage}".lstrip(), LogProgress(context))

    def plain(self, title: str) -> Progress:
        """Bars of work outside any run."""
        return _StageBars(self._screen, title, None)


class _StageBars:
    def __init__(self, screen: Screen, prefix: str, log: LogProgress | None):
        self._screen, self._prefix, self._log = screen, prefix, log

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        bar = self._screen.open_bar(f"{self._prefix}: {title}", total)
        try:
            yield _Bar(self._screen, bar)
        finally:
            self._screen.close_bar(bar)

    def observe(self, step: int, values: dict[str, float]) -> None:
        if self._log is not None:
            self._log.observe(step, values)

    def show(self, step: int, title: str, image: "Image") -> None:
        if self._log is not None:
            self._log.show(step, title, image)

    def note(self, text: str) -> None:
        self._screen.say(f"{self._prefix}: {text}")


class _Bar:
    def __init__(self, screen: Screen, bar: int):
        self._screen, self._bar = screen, bar

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._screen.advance(self._bar, steps, note)
