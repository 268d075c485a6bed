"""Files: what a store asks of the place where its files lie, a folder of this machine or any file system of fsspec's.

Belongs here: single files, by names that the store has checked, in classes of the same methods; a bucket of S3 has a
module of its own (`bucket`).  They raise FileNotFoundError and other OSErrors; a bucket says why, as DirectorError.
"""

import os
import shutil
import stat
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import fsspec

if TYPE_CHECKING:
    from director_diffusion.storage.bucket import Bucket

TEMPORARY = ".part-"  # prefix of files that are still being written; nothing reads them


@dataclass(frozen=True)
class Info:
    """What is known of a file without reading it."""

    size: int
    kind: Literal["file", "folder", "other"]
    mark: str  # another one where the content has changed: of a folder's files the time, of a bucket's the ETag
    written: float | None  # when, in seconds since 1970, by the clock of where it lies; None where nobody knows


class Folder:
    """A folder of this machine.  `root` is what people find a file by, before its name."""

    def __init__(self, root: Path):
        self.path, self.root = root, str(root)

    def exists(self, name: str) -> bool:
        return self._mode(name) is not None

    def present(self, names: Collection[str]) -> set[str]:
        """Those of the names that are files."""
        return {name for name in names if stat.S_ISREG(self._mode(name) or 0)}

    def info(self, name: str) -> Info:
        found = self._of(name).stat()
        kind: Literal["file", "folder", "other"] = (
            "file" if stat.S_ISREG(found.st_mode) else "folder" if stat.S_ISDIR(found.st_mode) else "other"
        )
        return Info(found.st_size, kind, str(found.st_mtime), found.st_mtime)

    def is_folder(self, name: str) -> bool:
        return stat.S_ISDIR(self._mode(name) or 0)

    def names(self, folder: str) -> list[str]:
        try:
            return [path.name for path in self._of(folder).iterdir()]
        except NotADirectoryError:
            return [PurePosixPath(folder).name]  # as fsspec lists a file

    def below(self, folder: str) -> dict[str, Info]:
        root = self._of(folder)
        found = {}
        for place, _, names in os.walk(root, followlinks=True):
            for name in names:
                path = Path(place, name)
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue  # deleted since, or a link to nothing
                info = Info(status.st_size, "file", str(status.st_mtime), status.st_mtime)
                found[path.relative_to(root).as_posix()] = info
        return found

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        with open(f"{self.root}/{name}", "rb") as file:  # noqa: PTH123  # of thousands: a Path costs more
            file.seek(start)
            return file.read() if end is None else file.read(end - start)

    def write(self, name: str, data: bytes) -> None:
        def fill(partial: Path) -> None:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

        self._replace(name, fill)

    def put(self, source: Path, name: str) -> None:
        def fill(partial: Path) -> None:
            shutil.copyfile(source, partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())  # else a power cut may leave the name with a part of the content

        self._replace(name, fill)

    def delete(self, name: str) -> None:
        path = self._of(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def delete_files(self, names: Collection[str]) -> None:
        for name in names:
            self._of(name).unlink(missing_ok=True)

    def _replace(self, name: str, fill: Callable[[Path], None]) -> None:
        target = self._of(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
        try:
            fill(partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def _mode(self, name: str) -> int | None:
        try:
            return os.stat(f"{self.root}/{name}").st_mode  # noqa: PTH116  # of thousands: a Path costs more
        except OSError:  # nothing that this user could see
            return None

    def _of(self, name: str) -> Path:
        return self.path / name


class Anywhere:
    """A file system of fsspec's that replaces files whole, such as its memory."""

    def __init__(self, fs: Any, root: str):
        self.fs, self.root = fs, root.rstrip("/")

    def exists(self, name: str) -> bool:
        return bool(self.fs.exists(self._of(name)))

    def present(self, names: Collection[str]) -> set[str]:
        return {name for name in names if self.fs.isfile(self._of(name))}

    def info(self, name: str) -> Info:
        return _info(self.fs.info(self._of(name)))

    def is_folder(self, name: str) -> bool:
        return bool(self.fs.isdir(self._of(name)))

    def names(self, folder: str) -> list[str]:
        entries = self.fs.ls(self._of(folder), detail=False, refresh=True)
        return [PurePosixPath(str(entry)).name for entry in entries]

    def below(self, folder: str) -> dict[str, Info]:
        root = self._of(folder)
        self.fs.invalidate_cache(root)
        found = self.fs.find(root, detail=True)
        return {PurePosixPath(str(path)).relative_to(root).as_posix(): _info(info) for path, info in found.items()}

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        return bytes(self.fs.cat_file(self._of(name), start=start, end=end))

    def write(self, name: str, data: bytes) -> None:
        self.fs.pipe_file(self._of(name), data)

    def put(self, source: Path, name: str) -> None:
        self.fs.put_file(str(source), self._of(name))

    def delete(self, name: str) -> None:
        if self.fs.exists(self._of(name)):
            self.fs.rm(self._of(name), recursive=True)

    def delete_files(self, names: Collection[str]) -> None:
        for name in names:
            self.delete(name)

    def _of(self, name: str) -> str:
        return f"{self.root}/{name}"


def _info(found: dict[str, Any]) -> Info:
    kind: Literal["file", "folder"] = "folder" if found["type"] == "directory" else "file"
    mark = found.get("mtime") or found.get("LastModified") or found.get("ETag") or found.get("created") or ""
    return Info(int(found["size"] or 0), kind, str(mark), None)  # what `mark` is differs from one to the other


def files_at(url: str) -> "Folder | Anywhere | Bucket":
    """Where a URL, or a folder, points to.  Raises ValueError or ImportError for one that nothing can open."""
    protocol = url.partition("://")[0] if "://" in url else ""
    if protocol in ("s3", "s3a"):
        from director_diffusion.storage.bucket import Bucket

        return Bucket(url)
    fs, root = fsspec.core.url_to_fs(url)
    return Folder(Path(root)) if protocol in ("", "file", "local") else Anywhere(fs, root)
