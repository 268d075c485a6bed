"""Folders: the files that a person's folder holds.

Belongs here: walking such a folder safely.  What the files mean is each layout's.
"""

import os
from pathlib import Path

from director_diffusion.errors import StillsError


def files_below(folder: Path) -> tuple[list[Path], list[str]]:
    """Regular files below `folder`, and the names of what is none or leads out of it; hidden ones are neither.

    Raises StillsError where it is no folder, holds no files, or has a folder below it that may not be read.
    """
    if not folder.is_dir():
        raise StillsError(str(folder), "is not a folder", "Give a folder of stills, or of one folder per film.")
    root, files, left_out = folder.resolve(), [], []
    for parent, folders, names in os.walk(folder, onerror=_refused):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(parent) / name).is_symlink()]  # os.walk does not go into these
        for path in (Path(parent) / name for name in sorted([*names, *links]) if not name.startswith(".")):
            if path.is_file() and path.resolve().is_relative_to(root):
                files.append(path)
            else:
                left_out.append(path.relative_to(folder).as_posix())
    if not files:
        raise StillsError(str(folder), "holds no files", "Put stills there, or in one folder per film below it.")
    return files, left_out


def _refused(error: OSError) -> None:
    """What cannot be listed must not be missing silently."""
    raise StillsError(
        str(error.filename), f"cannot be read ({error.strerror})", "Give this user read access to it."
    ) from error
