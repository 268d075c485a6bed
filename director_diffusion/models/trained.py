"""Trained sources: the models that this project trained itself and keeps in its store.

Belongs here: finding a part of the latest `<base>/base_model`, its fingerprint and a local folder of it.  Training does
not: whoever asks for a model that is not there is told how to make it.
"""

import shutil
from pathlib import Path

from filelock import FileLock

from director_diffusion.errors import ModelError, StoreError
from director_diffusion.hashing import short
from director_diffusion.specs import TrainedSource
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import content_version, latest_artifact

BASE_MODEL = "base_model"


def fingerprint_trained(source: TrainedSource, store: Store) -> str:
    """Hash of the names and contents of the part's files.  Raises ModelError where there are none."""
    return _part_of(_latest(source, store), source)


def trained_folder(source: TrainedSource, store: Store, *, cache: Path) -> Path:
    """A local folder with the part's files, to be read only; from a remote store, a copy in `cache`."""
    artifact = _latest(source, store)
    name = f"{source.base}-{source.part}-{short(_part_of(artifact, source))}"
    if store.local_root is not None:
        return artifact.path(source.part)
    folder = cache / "trained" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f"{name}.lock"):
        if not folder.is_dir():
            partial = folder.with_name(f".{name}")
            shutil.rmtree(partial, ignore_errors=True)  # what a killed copy left
            shutil.copytree(artifact.path(source.part), partial)
            partial.rename(folder)
    return folder


def _latest(source: TrainedSource, store: Store) -> Artifact:
    try:
        return latest_artifact(store, (source.base, BASE_MODEL), None)
    except StoreError as error:
        raise ModelError(
            f"{source.base}/{BASE_MODEL}",
            "has not been trained yet",
            f"Materialize {source.base}/{BASE_MODEL}: director build-base {source.base}",
        ) from error


def _part_of(artifact: Artifact, source: TrainedSource) -> str:
    files = tuple(file for file in artifact.manifest.files if file.name.startswith(f"{source.part}/"))
    if not files:
        raise ModelError(
            f"{source.base}/{BASE_MODEL}",
            f"holds no {source.part}",
            f"Name its spec under `trained_here` of {source.base}, or mend `part` where it is asked for.",
        )
    return content_version(files, ())
