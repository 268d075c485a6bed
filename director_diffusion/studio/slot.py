"""The slot: of many who want to draw, one does.

Belongs here: the line, how long it may be, and how much of it one visitor may take.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from director_diffusion.errors import QueueFullError


@dataclass(frozen=True, eq=False)  # each is itself, though it be the same visitor's
class _Ticket:
    visitor: str


class Slot:
    """One place, and a line of at most `waiting` before it, served in the order of arrival; `each` visitor has so many
    of all these places at most."""

    def __init__(self, *, waiting: int, each: int, wait_s: float):
        self._waiting, self._each, self._wait_s = waiting, each, wait_s
        self._moved = threading.Condition()
        self._line: deque[_Ticket] = deque()  # the first one has the place

    @contextmanager
    def taken(self, visitor: str) -> Iterator[None]:
        """Wait for the place and hold it.

        Raises QueueFullError where the line is full, or holds enough of this visitor's, or the wait is too long.
        """
        ticket = _Ticket(visitor)
        with self._moved:
            if len(self._line) > self._waiting:
                raise QueueFullError("queue full", f"{self._waiting} are waiting to draw", "Try again in a moment.")
            if sum(one.visitor == visitor for one in self._line) >= self._each:
                raise QueueFullError(
                    "queue full for you", f"{self._each} of your pictures are waiting", "Wait for one of them."
                )
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
