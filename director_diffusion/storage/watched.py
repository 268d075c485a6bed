"""Watched: what servers show of the newest artifacts of some assets, read again only where one of these has changed.

Belongs here: how often the store is asked, and who waits for it.  What is read is its user's matter.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from director_diffusion.storage.artifact import pointer
from director_diffusion.storage.store import Store

Found = TypeVar("Found")
_NEVER = float("-inf")


class Watched(Generic[Found]):
    """However many ask, the store is looked into by one of them at a time, once in `every_s` seconds.

    Nobody is told what was found more than `most_s` seconds ago: until then others go by what was found before, while
    one looks; after that they wait for it.  It may be shared by threads.
    """

    def __init__(
        self,
        store: Store,
        assets: Sequence[tuple[str, ...]],
        partitions: Sequence[str],
        read: Callable[[], Found],
        *,
        every_s: float,
        most_s: float,
    ):
        """`read` is called where the newest artifact of any of the `assets` is another than before."""
        self._store, self._read, self._every_s, self._most_s = store, read, every_s, most_s
        self._names = [pointer(asset, one) for asset in assets for one in partitions]
        self._lock = threading.Lock()
        self._looked = _NEVER
        self._found: tuple[dict[str, bytes], Found] | None = None  # what the store said, and what was read then

    def now(self) -> Found:
        """What there is.  Raises what `read` raises, and what the store does; the next one to ask looks again then."""
        found, age = self._found, self._age()
        if (found is None or age >= self._every_s) and self._lock.acquire(
            blocking=found is None or age >= self._most_s
        ):
            try:
                found = self._found
                if found is None or self._age() >= self._every_s:
                    found = self._look(found)
            finally:
                self._lock.release()
        assert found is not None, "who finds nothing has waited for the lock, and looked"
        return found[1]

    def _look(self, before: tuple[dict[str, bytes], Found] | None) -> tuple[dict[str, bytes], Found]:
        said = {name: self._store.read(name) for name in self._names if self._store.exists(name)}
        if before is None or before[0] != said:
            before = said, self._read()
        self._found, self._looked = before, time.monotonic()
        return before

    def _age(self) -> float:
        return time.monotonic() - self._looked
