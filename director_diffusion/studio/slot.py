"""The slot: of many who want to draw, one does."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from director_diffusion.errors import QueueFullError


class Slot:
    """One place, and a line of at most `waiting` before it, served in the order of arrival."""

    def __init__(self, *, waiting: int, wait_s: float):
        self._waiting, self._wait_s = waiting, wait_s
        self._moved = threading.Condition()
        self._line: deque[object] = deque()  # the first one has the place

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the place and hold it.  Raises QueueFullError where the line is full, or the wait too long."""
        ticket = object()
        with self._moved:
            if len(self._line) > self._waiting:
                raise QueueFullError("queue full", f"{self._waiting} are waiting to draw", "Try again in a moment.")
            self._line.append(ticket)
        try:
            with self._moved:
                if not self._moved.wait_for(lambda: self._line[0] is ticket, self._wait_s):
                    raise QueueFullError(
                        "queue full", f"no turn came up in {self._wait_s:g} seconds", "Try again in a moment."
                    )
            yield
        finally:
            with self._moved:
                self._line.remove(ticket)
                self._moved.notify_all()
