"""Faults that the loopback Hub can be told to have.

Belongs here: what they are and when one is due.  The server commits them.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

Request = Literal[
    "validate", "create", "info", "tree", "refs", "commits", "preupload",
    "lfs batch", "lfs put", "lfs part", "lfs complete", "lfs verify", "commit", "tag",
]  # fmt: skip
Kind = Literal[
    "unavailable",  # 503
    "rate limit",  # 429 with Retry-After
    "unauthorised",  # 401, quoting the token
    "forbidden",  # 403, quoting the token
    "reset",  # the connection is reset in the middle of the request; nothing is done
    "lost answer",  # all is done, and the connection closed without an answer
    "hang",  # nothing is done, and no answer comes
    "late",  # no answer comes, and it is done all the same, once the client has gone
    "race",  # another writer commits first
]
REQUESTS: tuple[Request, ...] = get_args(Request)
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Fault:
    kind: Kind
    on: Request
    times: int = 1
    retry_after: int = 0  # seconds, of a rate limit


class Faults:
    """Faults to come.  `chance` may give further ones, by the request."""

    def __init__(self) -> None:
        self.chance: Callable[[Request], Fault | None] | None = None
        self.happened: list[Fault] = []
        self._due: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        self._due.extend([fault] * fault.times)

    def clear(self) -> None:
        self._due.clear()
        self.chance = None

    def due(self, request: Request) -> Fault | None:
        with self._lock:
            fault = next((fault for fault in self._due if fault.on == request), None)
            if fault is not None:
                self._due.remove(fault)
            elif self.chance is not None:
                fault = self.chance(request)
            if fault is not None:
                self.happened.append(fault)
            return fault
