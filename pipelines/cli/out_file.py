"""Output files and folders: what `--out` or `--outdir` names, known to be writable before any work, put in place whole.

Belongs here: their place alone.  What they hold, and which suffixes a file may have, is each command's.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from director_diffusion.errors import SpecError


def check_writable(target: Path, option: str) -> None:
    """Raise SpecError, naming the `option` that gave it, unless a file may be written there; better known before the
    work than after it.
    """
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        partial = _partial(target)
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise _refused(target, option, error) from error


@contextmanager
def put_in_place(target: Path, option: str) -> Iterator[Path]:
    """A path beside `target` to write to; at the end it takes the target's place, and after an error it is gone.

    Raises SpecError, naming the `option`, for what the disk refuses of it; what else fails meanwhile is not its matter.
    """
    partial = _partial(target)
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        is_its = error.filename == str(partial) if error.filename else error.errno is not None  # writing names no file
        if not is_its:
            raise
        raise _refused(target, option, error) from error
    finally:
        partial.unlink(missing_ok=True)


def check_new_folder(target: Path, option: str) -> None:
    """Raise SpecError, naming the `option` that gave it, unless a folder may be made there: where nothing is, or an
    empty one.
    """
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise FileExistsError(errno.EEXIST, "it is there already, and is no empty folder")
        partial = _partial(target)
        partial.mkdir()
        partial.rmdir()
    except OSError as error:
        raise _refused(target, option, error) from error


@contextmanager
def put_folder_in_place(target: Path, option: str) -> Iterator[Path]:
    """A folder beside `target` to write into; at the end it becomes `target`, and after an error it is gone.

    Raises SpecError, naming the `option`, for what the disk refuses of it, and where something has come there since.
    """
    partial = _partial(target)
    try:
        partial.mkdir()
        yield partial
        partial.rename(target)  # over an empty folder, and nothing else
    except OSError as error:
        is_its = str(error.filename).startswith(str(partial)) if error.filename else error.errno is not None
        if not is_its:
            raise
        raise _refused(target, option, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _partial(target: Path) -> Path:
    return target.with_name(f".{os.getpid()}-{target.name}")


def _refused(target: Path, option: str, error: OSError) -> SpecError:
    problem = f"cannot be written: {error.strerror or error}"
    return SpecError(str(target), problem, f"Give another {option}, in a folder that is there.")
