"""Disks: what a full or read-only one means for whoever asked for a model."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from director_diffusion.errors import ModelError


@contextmanager
def explain_disk(folder: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write below `folder` into ModelErrors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(
                str(folder), "has no space left for a model", "Free some, or set `model_cache` to a larger disk."
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise ModelError(
                str(folder), "cannot be written by this user", "Make it writable, or set `model_cache` to one that is."
            ) from error
        raise
