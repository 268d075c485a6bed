"""The store: one folder of files, of this machine or a bucket of S3.

Belongs here: reading, listing and replacing single files whole, and what a failure of it means.  What the files mean is
said elsewhere; how a file is read and written where they lie, by `files` and `bucket`.
"""

import errno
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from director_diffusion.errors import StoreError
from director_diffusion.storage.files import TEMPORARY, Anywhere, Folder, Info, files_at
from director_diffusion.storage.read_cache import ReadCache

if TYPE_CHECKING:
    from director_diffusion.storage.bucket import Bucket

_CACHED = ("assets", "cache", "stills")  # folders of large files that are read again and again
_CHUNK = 1 << 20
_AT_A_TIME = 64 << 20  # bytes of a large file of a bucket


class Store:
    """Files under a root.  Names are relative, with `/`; a name that would leave the root raises StoreError.

    What is read of a bucket is kept in `cache`, where there is one.
    """

    def __init__(self, url: str, *, cache: ReadCache | None = None):
        self.url = url
        try:
            self.files = files_at(url)
        except (ValueError, ImportError) as error:  # a protocol that fsspec does not know, or lacks the package of
            raise StoreError(
                url, f"cannot be a store: {error}", "Give a folder or another URL (DIRECTOR_STORE, or the deployment)."
            ) from error
        self.root = self.files.root
        self.local_root = self.files.path if isinstance(self.files, Folder) else None
        self._cache = None if self.local_root is not None else cache
        if self.local_root is not None and self.local_root.exists() and not self.local_root.is_dir():
            raise StoreError(
                url, "cannot be a store: it is a file", "Give a folder (DIRECTOR_STORE, or the deployment)."
            )

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    @property
    def bucket(self) -> "Bucket | None":
        """Where files lie that writers on several machines may reach."""
        return None if isinstance(self.files, (Folder, Anywhere)) else self.files

    def full(self, name: str) -> str:
        """Where people find `name`: a path of this machine, or a URL."""
        return f"{self.root}/{_checked(name)}"

    def exists(self, name: str) -> bool:
        return self.files.exists(_checked(name))

    def present(self, names: Collection[str]) -> set[str]:
        """Those of `names` that are files; what that costs grows with them, not with what else there is."""
        return self.files.present([_checked(name) for name in names])

    def info(self, name: str) -> Info:
        """Raises FileNotFoundError for what is not there, other OSErrors for what cannot be looked at."""
        return self.files.info(_checked(name))

    def read(self, name: str) -> bytes:
        with self._absence_told(name):
            if self._cache is None or (bucket := self.bucket) is None or name.split("/")[0] not in _CACHED:
                return self.files.read(_checked(name))
            checked = _checked(name)
            return self._cache.changed(f"{self.url}/{checked}", lambda mark: bucket.read_changed(checked, mark))

    def read_known(self, name: str, digest: str) -> bytes:
        """The content of a file of that hash.  Of a bucket, nothing is asked where it is kept on this machine."""
        return self._read(name) if self._cache is None else self._cache.known(digest, lambda: self._read(name))

    def read_those(self, names: Iterable[str]) -> dict[str, bytes]:
        """Contents of small files, of those `names` that exist: many at a time where each is a request."""
        wanted = {_checked(name): name for name in names}
        if (bucket := self.bucket) is not None:
            return {wanted[checked]: data for checked, data in bucket.read_those(wanted).items()}
        contents = {}
        for checked, name in wanted.items():
            try:
                contents[name] = self.files.read(checked)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError as error:
                raise StoreError(name, "may not be read", f"Give this user read access to it in {self.url}.") from error
        return contents

    def read_start(self, name: str, size: int) -> bytes:
        """The first `size` bytes, or all of a file that is shorter."""
        return self._read(name, size)

    def hash(self, name: str, size: int) -> str:
        """Of a file of that size, in memory that does not grow with it.  Raises OSError where it cannot be read."""
        if self.local_root is not None:
            digest = sha256()
            with Path(self.full(name)).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            return digest.hexdigest()
        digest = sha256(self.read(name) if size <= _AT_A_TIME else b"")
        for start in range(0, size if size > _AT_A_TIME else 0, _AT_A_TIME):
            digest.update(self.files.read(_checked(name), start, start + _AT_A_TIME))
        return digest.hexdigest()

    def _read(self, name: str, end: int | None = None) -> bytes:
        with self._absence_told(name):
            return self.files.read(_checked(name), 0, end)

    @contextmanager
    def _absence_told(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise StoreError(name, f"is not in the store {self.url}", "Materialize the asset that makes it.") from error
        except PermissionError as error:
            raise StoreError(name, "may not be read", f"Give this user read access to it in {self.url}.") from error

    def write(self, name: str, data: bytes) -> None:
        """Replace `name` as a whole: readers see the old content or the new, never a part."""
        with explained(name, self.url):
            self.files.write(_checked(name), data)

    def put(self, source: Path, name: str) -> None:
        """Copy a local file to `name`, visible only when whole."""
        with explained(name, self.url, source):
            self.files.put(source, _checked(name))

    def delete(self, name: str) -> None:
        """Of a folder, with all that is below it."""
        with explained(name, self.url):
            self.files.delete(_checked(name))

    def delete_files(self, names: Collection[str]) -> None:
        """Files that are known to be none but files; of a bucket, many with a request."""
        with explained(next(iter(names), ""), self.url):
            self.files.delete_files([_checked(name) for name in names])

    def forget(self) -> None:
        """Out with all that this machine keeps of what was read of a bucket."""
        if self._cache is not None:
            self._cache.clear()

    def names(self, folder: str) -> list[str]:
        """Names (relative to `folder`, sorted) of the files and folders directly in it; empty where it is absent."""
        try:
            found = self.files.names(_checked(folder))
        except FileNotFoundError:
            return []
        return sorted(name for name in found if not name.startswith(TEMPORARY))

    def below(self, folder: str) -> dict[str, Info]:
        """All files below `folder`, by name relative to it; empty where it is absent."""
        found = self.files.below(_checked(folder))
        return {name: info for name, info in found.items() if not PurePosixPath(name).name.startswith(TEMPORARY)}

    def sizes(self, folder: str) -> dict[str, int]:
        """Sizes in bytes of all files below `folder`, by name relative to it; empty where it is absent."""
        return {name: info.size for name, info in self.below(folder).items()}

    def sizes_of(self, folder: str, names: Sequence[str]) -> dict[str, int]:
        """Sizes in bytes of those of these files of a folder that are there; it is listed where that is cheaper."""
        if self.local_root is None:
            there = self.sizes(folder)
            return {name: there[name] for name in names if name in there}
        root, found = self.full(folder), dict[str, int]()
        for name in names:
            with suppress(FileNotFoundError, NotADirectoryError):
                found[name] = os.stat(f"{root}/{name}").st_size  # noqa: PTH116  # of thousands: a Path costs more
        return found

    def is_folder(self, name: str) -> bool:
        return self.files.is_folder(_checked(name))

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


@lru_cache(1 << 14)  # the same thousand directors' names are asked for stage after stage
def _checked(name: str) -> str:
    """The name without detours.  Raises StoreError for one that would leave the root."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise StoreError(repr(name), "is not a name inside the store", "Use a relative name without '..'.")
    return path.as_posix()


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
