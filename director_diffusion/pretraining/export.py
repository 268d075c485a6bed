"""Exporting a trained set: a copy of its files in a folder that people ship.

Belongs here: replacing that folder whole.
"""

import shutil
import uuid
from pathlib import Path

from director_diffusion.errors import ModelError
from director_diffusion.models.disk import explain_disk
from director_diffusion.pretraining.manifest import MANIFEST
from director_diffusion.storage import Artifact


def export_set(artifact: Artifact, folder: Path) -> None:
    """Put the set's files into `folder`, in place of a set that it holds; never half-written.

    Raises ModelError where the folder holds something else.
    """
    folder = folder.resolve()
    if folder.exists() and not (folder.is_dir() and ((folder / MANIFEST).is_file() or not any(folder.iterdir()))):
        raise ModelError(
            str(folder), "holds something other than a trained set", "Give a new folder, or one exported before."
        )
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
