"""Work: where unfinished work lies on this machine, so that a later attempt finds it, and its copy in a bucket.

Belongs here: that one place, and carrying folders of it between machines.
"""

import shutil
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

from director_diffusion.hashing import hash_data, short
from director_diffusion.storage.store import Store

_FOLDER = "work"


def work_folder(store: Store, name: str) -> Path:
    """The folder of a piece of work: inside a local store, else beside it on this machine.  It may not exist yet."""
    return _root(store) / name


class WorkCopy:
    """The copy of a work folder in a bucket, for machines that go on with it; a local store needs none."""

    def __init__(self, store: Store, folder: Path):
        root = _root(store)
        apart = store.local_root is not None or not folder.is_relative_to(root)
        self._store, self._folder = store, folder
        self._name = None if apart else f"{_FOLDER}/{folder.relative_to(root).as_posix()}"

    def names(self) -> list[str]:
        """What is directly in it."""
        return [] if self._name is None else self._store.names(self._name)

    def send(self, name: str) -> None:
        """Copy a finished folder of it to the bucket."""
        if self._name is not None:
            for path in sorted(path for path in (self._folder / name).rglob("*") if path.is_file()):
                self._store.put(path, f"{self._name}/{path.relative_to(self._folder).as_posix()}")

    def fetch(self, name: str) -> None:
        """Copy a folder of it from the bucket, visible only when all of it is here."""
        if self._name is not None:
            partial = self._folder / f".part-{uuid.uuid4().hex}"
            try:
                for file in self._store.sizes(f"{self._name}/{name}"):
                    target = partial / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(self._store.read(f"{self._name}/{name}/{file}"))
                with suppress(OSError):  # another process of this work has done the same
                    partial.rename(self._folder / name)
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def delete(self, name: str = "") -> None:
        """Out with a folder of it, or with all."""
        if self._name is not None:
            self._store.delete(f"{self._name}/{name}" if name else self._name)


def _root(store: Store) -> Path:
    return (store.local_root or Path(tempfile.gettempdir()) / f"director-{short(hash_data(store.url))}") / _FOLDER
