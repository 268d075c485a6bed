"""Output files: what `--out` names, known to be writable before any work, and put in place whole.

Belongs here: the file's place alone.  What it holds, and which suffixes it may have, is each command's.
"""

import errno
import os
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
