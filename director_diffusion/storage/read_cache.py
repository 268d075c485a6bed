"""Read cache: what was read of a bucket, on a disk of this machine, up to a size.

Belongs here: the folder below, shared by any number of processes.  An entry is written beside and renamed, so it is
whole or absent; one that is damaged is dropped, and read again.  What was used longest ago goes first.

    <folder>/<ab>/<hash>         an entry: a line of JSON (mark, size, hash), then the content
    <folder>/.part-<random>      being written; a day later, left by a kill

Nothing stale comes out of it: an object is asked for anew each time, unless it still has the mark that it was kept by
(one request, no content); and a file whose hash the asker knows has no other content.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from director_diffusion.hashing import hash_bytes
from director_diffusion.storage.files import TEMPORARY

_FREED = 0.9  # of the limit is what a clearing leaves
_LOOK_AFTER = 0.02  # of the limit, written by this process, and it looks at how much there is
_LEFT_S = 86_400.0
_HEADER = 512  # bytes at most


@dataclass
class ReadCache:
    """At most `limit` bytes below `folder`, but for what several processes write while one of them clears."""

    folder: Path
    limit: int

    def __post_init__(self) -> None:
        self._written = float(self.limit)  # so that the first writing looks

    def changed(self, name: str, ask: Callable[[str], tuple[str, bytes] | None]) -> bytes:
        """The content of an object: `ask` is given the mark that it was kept by ("": it is not), and answers with mark
        and content, or None where it still has that mark.
        """
        kept = self._read(name)
        found = ask(kept[0] if kept else "")
        if found is None:
            assert kept is not None
            return kept[1]
        self._write(name, *found)
        return found[1]

    def known(self, sha256: str, read: Callable[[], bytes]) -> bytes:
        """The content of that hash: kept, or as `read`, which may give another: that is not kept."""
        kept = self._read(sha256)
        if kept is not None:
            return kept[1]
        data = read()
        if hash_bytes(data) == sha256:
            self._write(sha256, sha256, data)
        return data

    def clear(self) -> None:
        """Out with everything: what is read again is asked for again."""
        for place in [*self.folder.glob("??/*"), *self.folder.glob(f"{TEMPORARY}*")]:
            place.unlink(missing_ok=True)

    def _read(self, name: str) -> tuple[str, bytes] | None:
        path = self._path(name)
        try:
            line, _, data = path.read_bytes().partition(b"\n")
            told = json.loads(line)
            if len(data) != told["size"] or hash_bytes(data) != told["sha256"]:
                raise ValueError("damaged")
            os.utime(path)  # used now
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            with suppress(OSError):
                path.unlink()
            return None
        return str(told["mark"]), data

    def _write(self, name: str, mark: str, data: bytes) -> None:
        """Keep it if there is room: a cache that cannot be written is no failure of what was read."""
        if len(data) + _HEADER > self.limit:
            return
        path, partial = self._path(name), self.folder / f"{TEMPORARY}{uuid.uuid4().hex}"
        told = json.dumps({"mark": mark, "size": len(data), "sha256": hash_bytes(data)}).encode()
        with suppress(OSError):
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # stills are not everyone's
                path.parent.mkdir(exist_ok=True)
                partial.write_bytes(b"\n".join((told, data)))
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
            self._written += len(data) + _HEADER
            if self._written >= self.limit * _LOOK_AFTER:
                self._clear()

    def _clear(self) -> None:
        """Out with what was used longest ago, until there is some room; one process at a time."""
        try:
            with FileLock(self.folder / "clearing.lock", timeout=0):
                self._written = 0
                for path in self.folder.glob(f"{TEMPORARY}*"):
                    with suppress(FileNotFoundError):
                        if time.time() - path.stat().st_mtime > _LEFT_S:
                            path.unlink()
                entries = sorted(self._entries())
                size = sum(taken for _, taken, _ in entries)
                if size <= self.limit:
                    return
                for _, taken, path in entries:
                    path.unlink(missing_ok=True)
                    size -= taken
                    if size <= self.limit * _FREED:
                        return
        except Timeout:
            pass  # another does

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """When used, bytes and place of each."""
        for folder in self.folder.glob("??"):
            for path in folder.iterdir():
                with suppress(FileNotFoundError):
                    found = path.stat()
                    yield found.st_mtime, found.st_size, path

    def _path(self, name: str) -> Path:
        digest = hash_bytes(name.encode())
        return self.folder / digest[:2] / digest
