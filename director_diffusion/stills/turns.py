"""Turns: large files and pictures are worked on one at a time.

Belongs here: who waits for whom, so that memory does not grow with the number of threads.
"""

from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock
from typing import TypeVar

from director_diffusion.stills.decode import is_large
from director_diffusion.stills.rows import RawFile
from director_diffusion.stills.still_set import read_unchanged
from director_diffusion.storage.store import Store

_LARGE_BYTES = 32 << 20
Result = TypeVar("Result")


def with_contents(store: Store, raw: RawFile, large: Lock, work: Callable[[bytes], Result]) -> Result:
    """What `work` makes of a file's bytes.  Very large files and pictures are worked on one at a time, so that memory
    does not grow with the number of threads: what one holds is gone when the next begins."""
    if raw.size <= _LARGE_BYTES:
        return _with_pixels(read_unchanged(store, raw.name, raw.sha256), large, work)
    with large:
        return work(read_unchanged(store, raw.name, raw.sha256))


def _with_pixels(data: bytes, large: Lock, work: Callable[[bytes], Result]) -> Result:
    with large if is_large(data) else nullcontext():
        return work(data)
