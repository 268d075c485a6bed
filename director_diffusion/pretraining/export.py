"""Exporting a trained set: a copy of its files in a folder that people ship.

Belongs here: replacing that folder whole.
"""

import shutil
import uuid
from pathlib import Path

from director_diffusion.errors import ModelError
from director_diffusion.models.disk import explain_disk
from director_diffusion.pretraining.manifest import MANIFEST, base_of, files_of
from director_diffusion.storage import Artifact


def export_set(artifact: Artifact, folder: Path) -> None:
    """Put the set's files into `folder`, in place of a set that it holds; never half-written.

    Raises ModelError where the folder holds anything else, or the set of another base.
    """
    folder = folder.resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        _check_replaceable(folder, base_of(artifact.read(MANIFEST)))
    mark = uuid.uuid4().hex[:8]
    new, old = (folder.with_name(f".{folder.name}-{what}-{mark}") for what in ("new", "old"))
    try:
        with explain_disk(folder.parent):
            for file in artifact.manifest.files:
                target = new / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(artifact.read(file.name))
            if folder.exists():
                folder.rename(old)
            try:
                new.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _check_replaceable(folder: Path, base: str) -> None:
    """Refuse a folder that is not wholly a set of this base, as its own manifest tells."""
    way_out = "Give a new folder, or one that this base was exported to before."
    try:
        text = (folder / MANIFEST).read_bytes()
        there, known = base_of(text), files_of(text).keys() | {MANIFEST}
    except (OSError, ValueError) as error:
        raise ModelError(str(folder), "holds something other than a trained set", way_out) from error
    if there != base:
        raise ModelError(str(folder), f"holds the set of {there}, not of {base}", way_out)
    others = sorted({path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - known)
    if others:
        raise ModelError(str(folder), f"holds {others[0]!r}, which is no file of the trained set", way_out)
