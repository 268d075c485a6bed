"""How long work tells how far it is.

Belongs here: the seam between work that takes a while and whatever shows it (a terminal bar, the UI's log, nothing).
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


class Task(Protocol):
    """One bar."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done; `note` is a short remark such as a loss."""


class Progress(Protocol):
    """Somewhere to show tasks."""

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:
        """A bar of `total` steps that ends with the `with` block."""

    def observe(self, step: int, values: dict[str, float]) -> None:
        """Numbers of a training step, to be shown while it runs."""

    def show(self, step: int, title: str, image: "Image") -> None:
        """A picture of what is learned after a training step, to be shown while it runs."""

    def note(self, text: str) -> None:
        """A remark in a sentence, for whoever reads how it went."""


class Silent:
    """Shows nothing; the default for notebooks and tests."""

    def task(self, title: str, total: int) -> AbstractContextManager[Task]:
        return nullcontext(self)

    def advance(self, steps: int = 1, note: str = "") -> None:
        return None

    def observe(self, step: int, values: dict[str, float]) -> None:
        return None

    def show(self, step: int, title: str, image: "Image") -> None:
        return None

    def note(self, text: str) -> None:
        return None


def track(items: Iterable[T], progress: Progress, title: str, total: int) -> Iterator[T]:
    """Yield `items`, advancing a bar called `title` after each."""
    with progress.task(title, total) as task:
        for item in items:
            yield item
            task.advance()
