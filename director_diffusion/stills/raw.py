"""Raw files: what a director's folder holds, before any of it is decoded.

The layout is `stills/<director>/<film>/<file>`; files that lie directly in `stills/<director>/` are one film, named
after the director.  What a file is, its name says:

    *.txt                 a person's caption of the still with the same stem
    <stem>.mask.<ext>     a mask of the still with that stem
    <file>.decision.yaml  what a person decided about the still of that name (`decisions`)
    .*                    skipped (hidden files, and files that are still being written)
    everything else       an image; decoding decides whether it is one

Folders inside a film are not searched: each becomes a row whose problem says to move its files up.

Belongs here: listing, hashing and reading captions.  Does not: anything that decodes an image.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from director_diffusion.errors import SpecError, StillsError, StoreError
from director_diffusion.hashing import hash_bytes
from director_diffusion.plain_text import NOT_PLAIN, is_plain
from director_diffusion.stills.decisions import SUFFIX, read_decision, row_of
from director_diffusion.stills.rows import RawFile, StillDecision, WrittenCaption
from director_diffusion.stills.withdrawn import Withdrawn, read_withdrawn
from director_diffusion.storage.edited import UNREADABLE, mark_of
from director_diffusion.storage.store import Store

FOLDER = "stills"  # of the store
MAX_FILE_BYTES = 1 << 30  # a still of a gibibyte is something else
MAX_CAPTION_BYTES = 20_000  # about ten times what the longest prompt of any base holds
MAX_DECISION_BYTES = 20_000
_THREADS = 4
_FILM_PARTS = 3  # of a film's name in the store: stills/<director>/<film>


@dataclass(frozen=True)
class _Entry:
    """A name found in a film's folder; `path` is the store's name of it as the file system spells it."""

    path: str
    film: str

    @property
    def file(self) -> str:
        return _readable(PurePosixPath(self.path).name)

    @property
    def is_caption(self) -> bool:
        return self.file.lower().endswith(".txt")

    @property
    def is_decision(self) -> bool:
        return self.file.lower().endswith(SUFFIX)

    @property
    def role(self) -> Literal["image", "mask"]:
        return "mask" if PurePosixPath(self.file).stem.lower().endswith(".mask") else "image"


@dataclass(frozen=True)
class Beside:
    """A file that a person put beside a still, as found."""

    name: str  # the store's name
    film: str
    file: str  # its own name
    data: bytes | None  # None where it cannot be read
    problem: str  # why it cannot be read, or ""

    @property
    def mark(self) -> str:
        """What tells its content from any other (`storage.edited`)."""
        return UNREADABLE if self.data is None else mark_of(self.data)


class _UnusableFileError(Exception):
    """Why a file cannot be read, in words for its row."""


def list_raw_files(store: Store, director: str) -> list[RawFile]:
    """A row for every image and mask of `director`, sorted by film and file; unusable ones with a problem, and so
    those of which the bytes were withdrawn.

    Raises StillsError where the director has no folder, or one without any image.
    """
    entries = [entry for entry in _entries(store, director) if not (entry.is_caption or entry.is_decision)]
    if not entries:
        raise _nothing_to_use(store, director, "holds no stills")
    withdrawn = read_withdrawn(store, director)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="hash") as pool:
        return list(pool.map(lambda entry: _raw_file(store, entry, withdrawn), entries))


def list_written_captions(store: Store, director: str) -> list[WrittenCaption]:
    """A row for every `.txt` file beside the stills of `director`; those without usable text have a problem.

    Raises StillsError where the director has no folder.
    """
    return [written_caption(found) for found in files_beside(store, director, "caption")]


def list_still_decisions(store: Store, director: str) -> list[StillDecision]:
    """A row for every decision beside the stills of `director`.

    Raises StillsError where the director has no folder, SpecError for a decision that cannot be read: what a person
    took out must not come back by a slip of the pen.
    """
    return [still_decision(found) for found in files_beside(store, director, "decision")]


def files_beside(store: Store, director: str, kind: Literal["caption", "decision"]) -> list[Beside]:
    """What people put beside the stills of `director`, sorted by film and file, with its content.

    Raises StillsError where the director has no folder.
    """
    most = MAX_CAPTION_BYTES if kind == "caption" else MAX_DECISION_BYTES
    entries = _entries(store, director)
    wanted = [entry for entry in entries if (entry.is_caption if kind == "caption" else entry.is_decision)]
    found = []
    for entry in wanted:
        data, problem = None, ""
        try:
            _check_readable(store, entry.path, most)
            data = _read(store, entry.path)
        except _UnusableFileError as error:
            problem = str(error)
        found.append(Beside(_readable(entry.path), entry.film, entry.file, data, problem))
    return found


def written_caption(found: Beside) -> WrittenCaption:
    """The row of a caption's file."""
    text, digest, problem = "", "", found.problem
    if found.data is not None:
        digest = hash_bytes(found.data)
        try:
            text = _caption_text(found.data)
        except _UnusableFileError as error:
            problem = str(error)
    stem = PurePosixPath(found.file).stem
    return WrittenCaption(film=found.film, stem=stem, text=text, sha256=digest, problem=problem)


def still_decision(found: Beside) -> StillDecision:
    """The row of a decision's file.  Raises SpecError where it holds none."""
    if found.data is None:
        raise SpecError(found.name, found.problem, "Mend the file, or remove it.")
    return row_of(found.film, found.file[: -len(SUFFIX)], read_decision(found.data, found.name))


def _raw_file(store: Store, entry: _Entry, withdrawn: Mapping[str, Withdrawn]) -> RawFile:
    size, digest, problem = 0, "", ""
    try:
        size = _check_readable(store, entry.path, MAX_FILE_BYTES)
        digest = _hash(store, entry.path, size)
        if digest in withdrawn:
            problem = withdrawn[digest].reason
    except _UnusableFileError as error:
        problem = str(error)
    return RawFile(
        name=_readable(entry.path),
        film=entry.film,
        file=entry.file,
        role=entry.role,
        size=size,
        sha256=digest,
        problem=problem,
    )


def _caption_text(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise _UnusableFileError("is not UTF-8 text; save it as UTF-8") from error
    if not text:
        raise _UnusableFileError("is empty; write the caption or remove the file")
    if not is_plain(text, lines=True):
        raise _UnusableFileError(f"{NOT_PLAIN}; save it as plain text")
    return text


def _entries(store: Store, director: str) -> list[_Entry]:
    """Files (and what is not one) of all films, sorted by film and name."""
    folder = f"{FOLDER}/{director}"
    if _leads_out(store, folder):
        raise _nothing_to_use(store, director, "is a link that leads out of the store")
    if not store.is_folder(folder):
        raise _nothing_to_use(store, director, "does not exist" if not store.exists(folder) else "is not a folder")
    found: list[_Entry] = []
    names = _visible(store, folder)
    if names is None:
        raise _nothing_to_use(store, director, "may not be looked into by this user")
    for name in names:
        path = f"{folder}/{name}"
        files = _visible(store, path) if store.is_folder(path) and not _leads_out(store, path) else None
        if files is None:
            found.append(_Entry(path, film=director))
        else:
            found += [_Entry(f"{path}/{file}", film=_readable(name)) for file in files]
    return sorted(found, key=lambda entry: (entry.film, entry.file, entry.path))


def _visible(store: Store, folder: str) -> list[str] | None:
    """None for a folder that this user may not look into."""
    try:
        return [name for name in store.names(folder) if not name.startswith(".")]
    except PermissionError:
        return None


def _check_readable(store: Store, path: str, max_bytes: int) -> int:
    """Size in bytes of a regular file inside the store.  Raises _UnusableFileError for all else."""
    if path != _readable(path):
        raise _UnusableFileError("has a name that is not UTF-8; rename it")
    if _leads_out(store, path):
        raise _UnusableFileError("is a link that leads out of the store; copy the file itself into the folder")
    try:
        info = store.info(path)
    except FileNotFoundError as error:
        raise _UnusableFileError("is a link to a file that does not exist; copy the file itself here") from error
    except OSError as error:
        raise _UnusableFileError(_why_unreadable(error)) from error
    if info.kind == "folder" and len(PurePosixPath(path).parts) == _FILM_PARTS:
        raise _UnusableFileError("is a folder that this user may not look into; give this user read access to it")
    if info.kind == "folder":
        raise _UnusableFileError("is a folder inside a film; move its files up into the film's own folder")
    if info.kind != "file":
        raise _UnusableFileError("is not a regular file; remove it")
    if info.size > max_bytes:
        raise _UnusableFileError(f"is {info.size:,} bytes large, over the limit of {max_bytes:,}; use a smaller file")
    return info.size


def _hash(store: Store, path: str, size: int) -> str:
    try:
        return store.hash(path, size)
    except StoreError as error:
        raise _UnusableFileError(f"{error.problem}; {error.way_out}") from error
    except OSError as error:
        raise _UnusableFileError(_why_unreadable(error)) from error


def _read(store: Store, path: str) -> bytes:
    try:
        return store.read(path)
    except StoreError as error:
        raise _UnusableFileError(f"{error.problem}; {error.way_out}") from error
    except OSError as error:
        raise _UnusableFileError(_why_unreadable(error)) from error


def _why_unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror or error}); give this user read access to it, or copy it here again"


def _leads_out(store: Store, path: str) -> bool:
    """Whether links take `path` out of a local store (other stores have no links)."""
    if store.local_root is None:
        return False
    return not Path(os.path.realpath(store.full(path))).is_relative_to(os.path.realpath(store.local_root))


def _readable(name: str) -> str:
    """`name` as text that any table can hold: bytes that are no UTF-8 (surrogates in Python) are spelt out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _nothing_to_use(store: Store, director: str, problem: str) -> StillsError:
    return StillsError(
        f"{FOLDER}/{director}",
        f"{problem} (store {store.url})",
        f"Put stills into {FOLDER}/{director}/<film>/, or run `director add {director} --stills FOLDER`.",
    )
