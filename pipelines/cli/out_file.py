"""Output files and folders: what `--out` names, known to be writable before any work, and put in place whole.

Belongs here: their place alone.  What they hold, and which suffixes a file may have, is each command's.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from director_diffusion.errors import SpecError


def check_writable(target: Path) -> None:
    """Raise SpecError unless a file may be written there; better known before the work than after it."""
    with _explained(target):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        partial = _partial(target)
        partial.touch()
        partial.unlink()


@contextmanager
def put_in_place(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to; at the end it takes the target's place, and after an error it is gone.

    Raises SpecError for what the disk refuses.
    """
    partial = _partial(target)
    with _explained(target):
        try:
            yield partial
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def check_new_folder(target: Path) -> None:
    """Raise SpecError unless a folder may be made there: where there is nothing, or an empty folder."""
    with _explained(target):
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise FileExistsError(errno.EEXIST, "it is there already, and is no empty folder")
        partial = _partial(target)
        partial.mkdir()
        partial.rmdir()


@contextmanager
def put_folder_in_place(target: Path) -> Iterator[Path]:
    """A folder beside `target` to write into; at the end it becomes `target`, and after an error it is gone.

    Raises SpecError for what the disk refuses, and where something has come to be there since.
    """
    partial = _partial(target)
    with _explained(target):
        try:
            partial.mkdir()
            yield partial
            partial.rename(target)  # over an empty folder, and nothing else
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _partial(target: Path) -> Path:
    return target.with_name(f".{os.getpid()}-{target.name}")


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpecError(
            str(target),
            f"cannot be written: {error.strerror or error}",
            "Give another --out, in a folder that is there.",
        ) from error
