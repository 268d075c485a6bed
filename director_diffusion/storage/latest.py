"""Latest: tables of the artifacts that readers see, for pages that ask for them at every click.

Belongs here: reading each version once.  Unlike `latest_artifact` it does not look whether other files of the artifact,
or what they refer to, are still there: a page shows what was found, be a file of it gone since.
"""

import json
from functools import lru_cache
from typing import Any, TypeVar

from director_diffusion.storage.artifact import Artifact, Manifest, partition_folder
from director_diffusion.storage.store import Store

_KEPT = 32  # tables: a few assets of a few directors
Row = TypeVar("Row")


def latest_version(store: Store, asset: tuple[str, ...], partition: str) -> str:
    """Key and version of the artifact that readers see, as they are written.  Raises StoreError for none."""
    return store.read(f"{partition_folder(asset, partition)}/latest.json").decode()


def artifact_of(store: Store, asset: tuple[str, ...], partition: str | None, key: str) -> Artifact:
    """The artifact of that key.  Raises StoreError where its manifest has gone."""
    name = f"{partition_folder(asset, partition)}/{key}/artifact.json"
    return Artifact(store, Manifest.model_validate_json(store.read(name)))


def latest_rows(
    store: Store, asset: tuple[str, ...], partition: str, file: str, row_type: type[Row]
) -> tuple[Row, ...]:
    """Rows of a Parquet file of the artifact that readers see.  Raises StoreError where there is none."""
    version = latest_version(store, asset, partition)
    return _rows(store, asset, partition, version, file, row_type)  # type: ignore[arg-type]  # types are hashable


@lru_cache(_KEPT)
def _rows(
    store: Store, asset: tuple[str, ...], partition: str, version: str, file: str, row_type: type[Any]
) -> tuple[Any, ...]:
    artifact = artifact_of(store, asset, partition, json.loads(version)["key"])
    return tuple(artifact.table(file, row_type))
