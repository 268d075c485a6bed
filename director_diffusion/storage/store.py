"""The store: one folder of files, local or on an object store, reached through fsspec.

Belongs here: reading, listing and replacing single files whole.  What the files mean is said elsewhere.
"""

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from director_diffusion.errors import StoreError

TEMPORARY = ".part-"  # prefix of files that are still being written; nothing reads them


class Store:
    """Files under a root.  Names are relative, with `/`; a name that would leave the root raises StoreError."""

    def __init__(self, url: str, **options: Any):
        self.url = url
        try:
            self.fs, self.root = fsspec.core.url_to_fs(url, **options)
        except (ValueError, ImportError) as error:  # a protocol that fsspec does not know, or lacks the package of
            raise StoreError(
                url, f"cannot be a store: {error}", "Give a folder or another URL (DIRECTOR_STORE, or the deployment)."
            ) from error
        self.local_root = Path(self.root) if isinstance(self.fs, LocalFileSystem) else None
        if self.local_root is not None and self.local_root.exists() and not self.local_root.is_dir():
            raise StoreError(
                url, "cannot be a store: it is a file", "Give a folder (DIRECTOR_STORE, or the deployment)."
            )

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def full(self, name: str) -> str:
        """The file system's own path of `name`."""
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
            raise StoreError(repr(name), "is not a name inside the store", "Use a relative name without '..'.")
        return f"{self.root.rstrip('/')}/{path.as_posix()}"

    def exists(self, name: str) -> bool:
        path = self.full(name)
        return bool(self.fs.exists(path)) if self.local_root is None else os.path.exists(path)  # noqa: PTH110  # is asked often

    def read(self, name: str) -> bytes:
        return self._read(name, None)

    def read_start(self, name: str, size: int) -> bytes:
        """The first `size` bytes, or all of a file that is shorter."""
        return self._read(name, size)

    def read_those(self, names: Iterable[str]) -> dict[str, bytes]:
        """Contents of small files, of those `names` that exist: many at a time where each is a request."""
        places = {self.full(name): name for name in names}
        if self.local_root is not None:
            found: dict[str, Any] = {path: _content(path) for path in places}
        else:
            found = self.fs.cat(list(places), on_error="return") if places else {}
        contents = {}
        for path, name in places.items():
            content = found.get(path, FileNotFoundError())
            if isinstance(content, PermissionError):
                raise StoreError(name, "may not be read", f"Give this user read access to it in {self.url}.")
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                raise content
            if not isinstance(content, Exception):
                contents[name] = bytes(content)
        return contents

    def _read(self, name: str, end: int | None) -> bytes:
        try:
            return bytes(self.fs.cat_file(self.full(name), start=None if end is None else 0, end=end))
        except FileNotFoundError as error:
            raise StoreError(name, f"is not in the store {self.url}", "Materialize the asset that makes it.") from error
        except PermissionError as error:
            raise StoreError(name, "may not be read", f"Give this user read access to it in {self.url}.") from error

    def write(self, name: str, data: bytes) -> None:
        """Replace `name` as a whole: readers see the old content or the new, never a part."""
        with explained(name, self.url):
            if self.local_root is None:
                self.fs.pipe_file(self.full(name), data)
                return
            target = Path(self.full(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
            try:
                with partial.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)

    def put(self, source: Path, name: str) -> None:
        """Copy a local file to `name`, visible only when whole."""
        with explained(name, self.url, source):
            if self.local_root is None:
                self.fs.put_file(str(source), self.full(name))
                return
            target = Path(self.full(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
            try:
                shutil.copyfile(source, partial)
                with partial.open("rb") as file:
                    os.fsync(file.fileno())  # else a power cut may leave the name with a part of the content
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        if self.exists(name):
            with explained(name, self.url):
                self.fs.rm(self.full(name), recursive=True)

    def names(self, folder: str) -> list[str]:
        """Names (relative to `folder`, sorted) of the files and folders directly in it; empty where it is absent."""
        try:
            entries = self.fs.ls(self.full(folder), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        found = (PurePosixPath(str(entry)).name for entry in entries)
        return sorted(name for name in found if not name.startswith(TEMPORARY))

    def sizes(self, folder: str) -> dict[str, int]:
        """Sizes in bytes of all files below `folder`, by name relative to it; empty where it is absent."""
        root = self.full(folder)
        self.fs.invalidate_cache(root)
        found = self.fs.find(root, detail=True)
        return {
            PurePosixPath(str(path)).relative_to(root).as_posix(): int(info["size"]) for path, info in found.items()
        }

    def sizes_of(self, folder: str, names: Sequence[str]) -> dict[str, int]:
        """Sizes in bytes of those of these files of a folder that are there; it is listed where that is cheaper."""
        if self.local_root is None:
            there = self.sizes(folder)
            return {name: there[name] for name in names if name in there}
        root, found = Path(self.full(folder)), dict[str, int]()
        for name in names:
            with suppress(FileNotFoundError, NotADirectoryError):
                found[name] = (root / name).stat().st_size
        return found

    def is_folder(self, name: str) -> bool:
        return bool(self.fs.isdir(self.full(name)))

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """A local path with the file's content, for libraries that want one; read it, do not write to it."""
        if self.local_root is not None:
            path = Path(self.full(name))
            if not path.exists():
                raise StoreError(name, f"is not in the store {self.url}", "Materialize the asset that makes it.")
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="director-") as folder:
            path = Path(folder) / PurePosixPath(name).name
            path.write_bytes(self.read(name))
            yield path


def _content(path: str) -> bytes | OSError:
    """A local file's, without what fsspec asks of it first; or why there is none."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        return error


@contextmanager
def explained(name: str, url: str, source: Path | None = None) -> Iterator[None]:
    """Say what a full or read-only disk, or a `source` that may not be read, means for whoever runs this."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                name,
                f"could not be written: no space left in {url}",
                "Free some space and run again; nothing was lost.",
            ) from error
        if source is not None and error.filename == str(source) and error.errno in (errno.EACCES, errno.EPERM):
            raise StoreError(str(source), "may not be read", "Give this user read access to it.") from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise StoreError(
                name, f"could not be written: {url} is read-only for this user", "Make it writable and run again."
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise StoreError(name, "has too long a name for this file system", "Use a shorter name.") from error
        raise
