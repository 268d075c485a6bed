"""Artifacts: what an asset made for one partition, as an immutable folder with a manifest.

Belongs here: the handle that passes between stages, and the folder's layout:

    assets/<asset key>/<partition>/<key>/<files>      written once
    assets/<asset key>/<partition>/<key>/artifact.json   written last: the folder is whole
    assets/<asset key>/<partition>/latest.json           replaced last: the folder is what readers see

Does not: how a key is made of inputs and specs (`resources.making`).
"""

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from director_diffusion.errors import StoreError
from director_diffusion.hashing import hash_data, hash_file
from director_diffusion.storage.store import Store
from director_diffusion.tables import read_table

Row = TypeVar("Row")
UNPARTITIONED = "_all"
MANIFEST, LATEST = "artifact.json", "latest.json"
PICTURES = "pictures"  # of a folder: those that its metadata links to
OBSERVED = "observed"  # beside the artifacts of a partition: pictures that were shown while one was being made
_AT_ONCE = 64  # manifests that are read together
_SMALL = 2**14  # bytes of a manifest that is kept: it has no pictures


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
    """Folder, in the store, of all artifacts of an asset and a partition, or of an asset that has none."""
    return "/".join(("assets", *asset, partition or UNPARTITIONED))


def pointer(asset: tuple[str, ...], partition: str | None) -> str:
    """Name of the small file that says which of them readers see."""
    return f"{partition_folder(asset, partition)}/{LATEST}"


def is_made(store: Store, asset: tuple[str, ...], partition: str | None) -> bool:
    """Whether readers would see anything."""
    return store.exists(pointer(asset, partition))


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
    store.write(f"{artifact.folder}/{MANIFEST}", manifest.model_dump_json(indent=1).encode())
    return artifact


def find_artifact(store: Store, asset: tuple[str, ...], partition: str | None, key: str) -> Artifact | None:
    """The whole artifact of that key, or None; None too where a file of it, or of what it refers to, has gone."""
    name = f"{partition_folder(asset, partition)}/{key}/{MANIFEST}"
    found = store.read_those([name])
    return _whole(store, found[name]) if found else None


def _whole(store: Store, told: bytes) -> Artifact | None:
    """The artifact of which `artifact.json` tells, unless a file of it, or of what it refers to, has gone."""
    manifest = _parsed(told) if len(told) <= _SMALL else Manifest.model_validate_json(told)
    artifact = Artifact(store, manifest)
    sizes = store.sizes_of(artifact.folder, [file.name for file in manifest.files])
    if any(sizes.get(file.name) != file.size for file in manifest.files):
        return None
    references = set(manifest.references)
    return artifact if store.present(references) == references else None


@lru_cache(2048)
def _parsed(told: bytes) -> Manifest:
    """Of the same bytes the same: what gathers all directors' reads a thousand, more than once in a run."""
    return Manifest.model_validate_json(told)


def set_latest(artifact: Artifact) -> bool:
    """Make this artifact the one that readers see, unless it has gone: then they see what they saw, if anything, and it
    is False.

    A collection looks where readers are led after it has taken a manifest, and this looks for the manifest after it has
    led them there: whatever comes first, one of the two notices.
    """
    manifest, store = artifact.manifest, artifact.store
    told = json.dumps({"key": manifest.key, "version": manifest.version, "made": manifest.made}).encode()
    name = pointer(manifest.asset, manifest.partition)
    before = store.read_those([name]).get(name)
    if before == told:  # a write waits for the disk, and mostly nothing changed
        return True
    store.write(name, told)
    if store.present([f"{artifact.folder}/{MANIFEST}"]):
        return True
    if store.read_those([name]).get(name) != told:  # another has led them elsewhere
        return False
    if before is None:
        store.delete(name)
    else:
        store.write(name, before)
    return False


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
    """By partition, those of which there is one, and no blocking check of it failed.

    Their manifests come without the pictures that the UI was shown: thousands of them would not fit into memory.
    """
    pointers = {pointer(asset, partition): partition for partition in partitions}
    keys = {pointers[name]: json.loads(content)["key"] for name, content in store.read_those(pointers).items()}
    names = {partition: f"{partition_folder(asset, partition)}/{key}/{MANIFEST}" for partition, key in keys.items()}
    found, waiting = {}, iter(names.items())
    while some := dict(islice(waiting, _AT_ONCE)):
        told = store.read_those(some.values())
        for partition, name in some.items():
            artifact = _whole(store, told[name]) if name in told else None
            if artifact is None:
                raise _lost(asset, partition, keys[partition])
            if artifact.failed_blocking_check() is None:
                found[partition] = Artifact(store, _without_pictures(artifact.manifest))
    return found


def _without_pictures(manifest: Manifest) -> Manifest:
    kept = tuple(entry for entry in manifest.metadata if entry.kind != "markdown")
    return manifest.model_copy(update={"metadata": kept}) if len(kept) < len(manifest.metadata) else manifest


def latest_artifact(store: Store, asset: tuple[str, ...], partition: str | None) -> Artifact:
    """The artifact that readers see, whatever its checks say.  Raises StoreError where none was made."""
    name = pointer(asset, partition)
    pointers = store.read_those([name])
    if not pointers:
        raise StoreError(
            "/".join(asset),
            f"has not been materialized for {partition!r}" if partition else "has not been materialized",
            "Materialize it first.",
        )
    key = json.loads(pointers[name])["key"]
    found = find_artifact(store, asset, partition, key)
    if found is None:
        raise _lost(asset, partition, key)
    return found


def _lost(asset: tuple[str, ...], partition: str | None, key: str) -> StoreError:
    return StoreError(
        "/".join(asset),
        f"lost the files of version {key}" + (f" of {partition!r}" if partition else ""),
        "Materialize it again; it will be remade.",
    )
