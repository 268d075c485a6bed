"""Thumbs: the small copies of stills that wait until their film's crop is known.

Belongs here: keeping them in a file, so that a film of twenty thousand stills takes no more memory than one of twenty.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType

from PIL import Image

from director_diffusion.stills.frames import THUMB

_SLOT = THUMB * THUMB * 3  # bytes: the largest


@dataclass(frozen=True)
class Kept:
    """Where a picture is, until it is taken."""

    slot: int
    size: tuple[int, int]


class Thumbs:
    """RGB pictures of at most `THUMB` pixels a side, in a file that is nobody else's and goes when this is left."""

    def __init__(self, folder: Path):
        self._folder, self._lock = folder, Lock()
        self._free: list[int] = []
        self._slots = 0

    def __enter__(self) -> "Thumbs":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, thumb: Image.Image) -> Kept:
        """Write a picture."""
        with self._lock:
            if not self._free:
                self._free.append(self._slots)
                self._slots += 1
            slot = self._free.pop()
        rest, place = memoryview(thumb.tobytes()), slot * _SLOT
        while rest:  # a disk that is getting full takes a part first, and refuses the next
            written = os.pwrite(self._file.fileno(), rest, place)
            rest, place = rest[written:], place + written
        return Kept(slot, thumb.size)

    def take(self, kept: Kept) -> Image.Image:
        """That picture; from now on its place may be another's."""
        data = os.pread(self._file.fileno(), kept.size[0] * kept.size[1] * 3, kept.slot * _SLOT)
        with self._lock:
            self._free.append(kept.slot)
        return Image.frombytes("RGB", kept.size, data)
