"""Kept: bytes in memory, up to so many of them.

Belongs here: which of them leave first.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


ENTRY_BYTES = 400  # that an entry takes besides its content: key, and places in order and table (312 measured)


class KeptBytes(Generic[Key]):
    """What was asked for last, by its key; the newest is kept whatever its size.  It may be shared by threads."""

    def __init__(self, most: int):
        """`most` is in bytes of memory, of contents and what it takes to keep them.  Keys are short."""
        self._most, self._bytes, self._lock = most, 0, threading.Lock()
        self._found: OrderedDict[Key, bytes] = OrderedDict()

    def add(self, key: Key, data: bytes) -> None:
        """Keep it.  One key is always the same bytes."""
        with self._lock:
            if key not in self._found:
                self._found[key] = data
                self._bytes += _size(data)
            self._found.move_to_end(key)
            while len(self._found) > 1 and self._bytes > self._most:
                self._bytes -= _size(self._found.popitem(last=False)[1])

    def find(self, key: Key) -> bytes | None:
        """None for what is not kept, or no longer."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)


def _size(data: bytes) -> int:
    return len(data) + ENTRY_BYTES
