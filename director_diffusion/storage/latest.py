"""Latest: tables of the artifacts that readers see, for pages that ask for them at every click.

Belongs here: reading each version once, and when it was made.  Unlike `latest_artifact` it does not look whether other
files of the artifact, or what they refer to, are still there: a page shows what was found, be a file of it gone since.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from director_diffusion.storage.artifact import MANIFEST, Artifact, Manifest, partition_folder, pointer
from director_diffusion.storage.store import Store

_KEPT = 32  # tables: a few assets of a few directors
Row = TypeVar("Row")


def latest_version(store: Store, asset: tuple[str, ...], partition: str) -> str:
    """Key and version of the artifact that readers see, as they are written.  Raises StoreError for none."""
    return store.read(pointer(asset, partition)).decode()


def made_at(made: str) -> datetime | None:
    """When an artifact was made, by what its manifest says; None where that was not noted, long ago."""
    try:
        when = datetime.fromisoformat(made)
    except ValueError:
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def when_made(store: Store, asset: tuple[str, ...], partitions: Iterable[str]) -> dict[str, datetime | None]:
    """When what readers see was made, by partition, of those that there are: a small file each.

    Made, not found again: a run that has nothing to do changes nothing here.
    """
    names = {pointer(asset, one): one for one in partitions}
    latest = {names[name]: json.loads(content) for name, content in store.read_those(names).items()}
    undated = {_manifest(asset, one, told["key"]): one for one, told in latest.items() if "made" not in told}
    manifests = store.read_those(undated)  # of before it was noted there
    of_manifests = {undated[name]: Manifest.model_validate_json(data).made for name, data in manifests.items()}
    return {one: made_at(told.get("made") or of_manifests.get(one, "")) for one, told in latest.items()}


def artifact_of(store: Store, asset: tuple[str, ...], partition: str | None, key: str) -> Artifact:
    """The artifact of that key.  Raises StoreError where its manifest has gone."""
    return Artifact(store, Manifest.model_validate_json(store.read(_manifest(asset, partition, key))))


def _manifest(asset: tuple[str, ...], partition: str | None, key: str) -> str:
    return f"{partition_folder(asset, partition)}/{key}/{MANIFEST}"


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
