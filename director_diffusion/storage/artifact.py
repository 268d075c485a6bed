"""Artifacts: what an asset made for one partition, as an immutable folder with a manifest.

Belongs here: the handle that passes between stages, and the folder's layout:

    assets/<asset key>/<partition>/<key>/<files>      written once
    assets/<asset key>/<partition>/<key>/artifact.json   written last: the folder is whole
    assets/<asset key>/<partition>/latest.json           replaced last: the folder is what readers see

Does not: how a key is made of inputs and specs (`resources.stage`).
"""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from director_diffusion.errors import StoreError
from director_diffusion.hashing import hash_data, hash_file
from director_diffusion.storage.store import Store
from director_diffusion.tables import read_table

Row = TypeVar("Row")
UNPARTITIONED = "_all"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckOutcome(_Strict):
    """What a check found."""

    name: str
    passed: bool
    blocking: bool
    description: str
    metadata: dict[str, Any] = {}


class MetadataEntry(_Strict):
    """A fact for the UI: its label, how to show it, and the value in plain JSON."""

    label: str
    kind: Literal["int", "float", "text", "markdown"]
    value: Any


class StoredFile(_Strict):
    name: str
    size: int
    sha256: str


class Manifest(_Strict):
    """What `artifact.json` holds."""

    asset: tuple[str, ...]
    partition: str | None
    key: str
    plain_key: str  # the key without a `fresh` label: what a re-evaluation shares with the run it repeats
    version: str
    files: tuple[StoredFile, ...]
    references: tuple[str, ...] = ()
    metadata: tuple[MetadataEntry, ...] = ()
    checks: tuple[CheckOutcome, ...] = ()
    inputs: dict[str, str] = {}
    code_version: str
    seconds: float
    made: str = ""  # when: ISO 8601, UTC, with microseconds; "" in manifests from before it was noted


@dataclass(frozen=True)
class Artifact:
    """A lazy handle on one materialization: nothing is read before it is asked for."""

    store: Store
    manifest: Manifest

    @property
    def version(self) -> str:
        """Hash of the content: equal versions hold equal files."""
        return self.manifest.version

    @property
    def folder(self) -> str:
        """Name of the artifact's folder in the store."""
        return f"{partition_folder(self.manifest.asset, self.manifest.partition)}/{self.manifest.key}"

    def read(self, name: str) -> bytes:
        known = next((file.sha256 for file in self.manifest.files if file.name == name), None)
        whole = f"{self.folder}/{name}"
        return self.store.read(whole) if known is None else self.store.read_known(whole, known)

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def table(self, name: str, row_type: type[Row]) -> list[Row]:
        """Rows of a Parquet file of this artifact."""
        if self.store.local_root is not None:
            with self.store.local_copy(f"{self.folder}/{name}") as path:
                return read_table(path, row_type)
        with tempfile.TemporaryDirectory(prefix="director-") as folder:
            path = Path(folder) / PurePosixPath(name).name
            path.write_bytes(self.read(name))
            return read_table(path, row_type)

    def path(self, name: str) -> Path:
        """A local path of one file.  Treat as read-only."""
        return self.local_folder / name

    @cached_property
    def local_folder(self) -> Path:
        """The whole folder on a local disk: itself where the store is local, else a copy for this process's life."""
        if self.store.local_root is not None:
            return Path(self.store.full(self.folder))
        copy = tempfile.TemporaryDirectory(prefix="director-artifact-")
        object.__setattr__(self, "_copy", copy)  # keeps the copy until this handle goes
        for file in self.manifest.files:
            target = Path(copy.name) / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(file.name))
        return Path(copy.name)

    def failed_blocking_check(self) -> CheckOutcome | None:
        return next((check for check in self.manifest.checks if check.blocking and not check.passed), None)


def partition_folder(asset: tuple[str, ...], partition: str | None) -> str:
    return "/".join(("assets", *asset, partition or UNPARTITIONED))


def describe_files(folder: Path) -> tuple[StoredFile, ...]:
    """Every file below `folder`, with size and hash, sorted by name."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        StoredFile(name=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=hash_file(path))
        for path in paths
    )


def content_version(files: tuple[StoredFile, ...], references: tuple[str, ...]) -> str:
    """Version of a content: its files' names and hashes, and the content-addressed items it refers to."""
    return hash_data({"files": {file.name: file.sha256 for file in files}, "references": sorted(references)})


def write_artifact(store: Store, folder: Path, manifest: Manifest) -> Artifact:
    """Copy a finished local `folder` into the store; `artifact.json` last.  Does not make it the latest."""
    artifact = Artifact(store, manifest)
    for file in manifest.files:
        store.put(folder / file.name, f"{artifact.folder}/{file.name}")
    store.write(f"{artifact.folder}/artifact.json", manifest.model_dump_json(indent=1).encode())
    return artifact


def find_artifact(store: Store, asset: tuple[str, ...], partition: str | None, key: str) -> Artifact | None:
    """The whole artifact of that key, or None; None too where a file of it, or of what it refers to, has gone."""
    found = store.read_if_there(f"{partition_folder(asset, partition)}/{key}/artifact.json")
    if found is None:
        return None
    manifest = Manifest.model_validate_json(found)
    artifact = Artifact(store, manifest)
    sizes = store.sizes(artifact.folder)
    if any(sizes.get(file.name) != file.size for file in manifest.files):
        return None
    references = set(manifest.references)
    return artifact if store.present(references) == references else None


def set_latest(artifact: Artifact) -> None:
    """Make this artifact the one that readers see."""
    manifest = artifact.manifest
    pointer = {"key": manifest.key, "version": manifest.version}
    artifact.store.write(_pointer(manifest.asset, manifest.partition), json.dumps(pointer).encode())


def usable_artifact(store: Store, asset: tuple[str, ...], partition: str | None) -> Artifact:
    """The artifact that readers see, for what is made of it.

    Raises StoreError where none was made, or a blocking check of it failed.
    """
    artifact = latest_artifact(store, asset, partition)
    failed = artifact.failed_blocking_check()
    if failed is not None:
        name = "/".join(asset)
        raise StoreError(
            f"{name} of {partition}" if partition else name,
            f"may not be used: its check {failed.name} failed ({failed.description})",
            f"Mend the cause, then materialize {name} again.",
        )
    return artifact


def usable_artifacts(store: Store, asset: tuple[str, ...], partitions: Iterable[str]) -> dict[str, Artifact]:
    """By partition, those of which there is one, and no blocking check of it failed."""
    found = {}
    for partition in partitions:
        pointer = store.read_if_there(_pointer(asset, partition))
        if pointer is not None:
            artifact = _pointed_to(store, asset, partition, pointer)
            if artifact.failed_blocking_check() is None:
                found[partition] = artifact
    return found


def latest_artifact(store: Store, asset: tuple[str, ...], partition: str | None) -> Artifact:
    """The artifact that readers see, whatever its checks say.  Raises StoreError where none was made."""
    pointer = store.read_if_there(_pointer(asset, partition))
    if pointer is None:
        raise StoreError(
            "/".join(asset),
            f"has not been materialized for {partition!r}" if partition else "has not been materialized",
            "Materialize it first.",
        )
    return _pointed_to(store, asset, partition, pointer)


def _pointer(asset: tuple[str, ...], partition: str | None) -> str:
    return f"{partition_folder(asset, partition)}/latest.json"


def _pointed_to(store: Store, asset: tuple[str, ...], partition: str | None, pointer: bytes) -> Artifact:
    key = json.loads(pointer)["key"]
    found = find_artifact(store, asset, partition, key)
    if found is None:
        raise StoreError(
            "/".join(asset),
            f"lost the files of version {key}" + (f" of {partition!r}" if partition else ""),
            "Materialize it again; it will be remade.",
        )
    return found
