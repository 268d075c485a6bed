"""Known: every artifact of a store in short, by what it was made of.

Belongs here: reading the manifests, a few at a time and without the pictures that the UI was shown, and following their
inputs by version.  Why an artifact stays is `keeping`'s.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath

from director_diffusion.errors import StoreError
from director_diffusion.hashing import SHORT
from director_diffusion.storage.ancestry import LOOKED_AT
from director_diffusion.storage.artifact import LATEST, MANIFEST, OBSERVED, PICTURES, Manifest, partition_folder
from director_diffusion.storage.files import Info
from director_diffusion.storage.store import Store
from director_diffusion.training.rows import ADAPTERS, adapter_version

_AT_ONCE = 64
_KEY = re.compile(rf"^[0-9a-f]{{{SHORT}}}$")


@dataclass(frozen=True)
class Version:
    """One artifact."""

    folder: str
    asset: tuple[str, ...]
    partition: str | None
    key: str
    version: str
    inputs: Mapping[str, str]
    references: tuple[str, ...]
    made: str
    bytes: int
    adapter: str  # version of the adapter that it is; "" for what is none

    @property
    def name(self) -> str:
        return "/".join(self.asset)

    @property
    def place(self) -> str:
        """The folder of its asset and partition."""
        return partition_folder(self.asset, self.partition)


class Known:
    """The artifacts of a store as they are now."""

    def __init__(self, store: Store):
        self.store = store
        self.files = {f"assets/{name}": info for name, info in store.below("assets").items()}
        manifests = [name for name in self.files if PurePosixPath(name).name == MANIFEST]
        self.inside: dict[str, list[str]] = defaultdict(list)  # the files of each artifact's folder
        weights: dict[str, int] = defaultdict(int)
        folders = {str(PurePosixPath(name).parent) for name in manifests}
        above = {str(one) for folder in folders for one in PurePosixPath(folder).parents}
        above |= {str(PurePosixPath(name).parent) for name in self.files if PurePosixPath(name).name == LATEST}
        self.observed: dict[str, Info] = {}
        self.remains: dict[str, list[Info]] = defaultdict(list)  # of the files in folders that are no artifacts
        for name, info in self.files.items():
            parents = [str(one) for one in PurePosixPath(name).parents]
            whole = next((one for one in parents if one in folders), None)
            if whole is not None:
                weights[whole] += info.size
                self.inside[whole].append(name)
            elif f"/{OBSERVED}/{PICTURES}/" in name:  # and not a director who is called so
                self.observed[name] = info
            elif (folder := next((one for one in parents if one not in above and _is_keyed(one)), None)) is not None:
                self.remains[folder].append(info)
        self.by_folder = {one.folder: one for one in self._read(manifests, weights)}

    def __iter__(self) -> Iterator[Version]:
        return iter(self.by_folder.values())

    @cached_property
    def places(self) -> dict[str, list[Version]]:
        """The versions of each asset and partition, newest first, undated ones last."""
        found: dict[str, list[Version]] = defaultdict(list)
        for one in sorted(self, key=lambda one: (one.made, one.key), reverse=True):
            found[one.place].append(one)
        return dict(found)

    @cached_property
    def latest(self) -> dict[str, str]:
        """The folder that readers see, by asset and partition."""
        told = self.store.read_those([name for name in self.files if PurePosixPath(name).name == LATEST])
        return {str(PurePosixPath(name).parent): pointed(name, content) for name, content in told.items()}

    def made_of(self, one: Version) -> Iterator[Version]:
        """Its inputs, as far as the store has them: of the same partition, of none, or gathered ones.

        Of several equal ones the first, as `Ancestry` has it.
        """
        for name, version in one.inputs.items():
            asset = tuple(name.split("/"))
            places = [partition_folder(asset, one.partition), partition_folder(asset, None)]
            places += ["/".join(("assets", *asset))] if len(asset) > 1 else []  # gathered: its partition is the last
            found = (self._by_version.get((place, version)) for place in places)
            first = next((each for each in found if each is not None), None)
            if first is not None:
                yield first

    def with_ancestors(self, *some: Version) -> set[str]:
        """Their folders and those of all that they were made of."""
        found, level = {one.folder for one in some}, list(some)
        while level:
            new = {each.folder: each for one in level for each in self.made_of(one) if each.folder not in found}
            found |= new.keys()
            level = list(new.values())
        return found

    def users_first(self, some: Iterable[Version]) -> list[Version]:
        """In an order in which whatever was made of another comes before it, and else the youngest first."""
        given, seen, ordered = {one.folder: one for one in some}, set[str](), list[Version]()

        def visit(one: Version) -> None:
            if one.folder not in seen:
                seen.add(one.folder)
                for each in self.made_of(one):
                    visit(each)
                if one.folder in given:
                    ordered.append(one)

        for one in sorted(given.values(), key=lambda one: one.made):
            visit(one)
        return ordered[::-1]

    def levels(self, some: Iterable[Version]) -> list[list[Version]]:
        """Users first, as `users_first`; none of a level was made of another of it."""
        depths: dict[str, int] = {}
        found: dict[int, list[Version]] = defaultdict(list)
        for one in self.users_first(some):
            depth = depths.setdefault(one.folder, 0)
            found[depth].append(one)
            for each in self.made_of(one):
                depths[each.folder] = max(depths.get(each.folder, 0), depth + 1)
        return [found[depth] for depth in sorted(found)]

    def came_of(self, adapter: Version) -> list[Version]:
        """Its pictures, verdicts, cards and publications, and no other adapter's."""
        found: dict[str, Version] = {}
        level = [adapter]
        while level:
            users = [user for one in level for user in self._users.get((one.name, one.version), [])]
            level = [one for one in users if one.folder not in found and one.asset[-1] not in (*LOOKED_AT, *ADAPTERS)]
            level = [one for one in level if adapter.partition is None or one.partition == adapter.partition]
            found |= {one.folder: one for one in level}
        return list(found.values())

    @cached_property
    def _by_version(self) -> dict[tuple[str, str], Version]:
        found: dict[tuple[str, str], Version] = {}
        for place, versions in self.places.items():
            found |= {(place, one.version): one for one in versions}  # the first made is the last here
        return found

    @cached_property
    def _users(self) -> dict[tuple[str, str], list[Version]]:
        found: dict[tuple[str, str], list[Version]] = defaultdict(list)
        for one in self:
            for name, version in one.inputs.items():
                found[name, version].append(one)
        return found

    def _read(self, names: Iterable[str], weights: Mapping[str, int]) -> Iterator[Version]:
        waiting = iter(sorted(names))
        while some := list(islice(waiting, _AT_ONCE)):
            for name, content in self.store.read_those(some).items():
                folder = str(PurePosixPath(name).parent)
                try:
                    yield _version(folder, Manifest.model_validate_json(content), weights[folder])
                except ValueError as error:
                    raise StoreError(
                        name, "cannot be read, so nobody knows what it needs", "Mend it, or delete its folder."
                    ) from error


def _version(folder: str, manifest: Manifest, size: int) -> Version:
    if folder != f"{partition_folder(manifest.asset, manifest.partition)}/{manifest.key}":
        raise ValueError("it lies in another's place")
    return Version(
        folder=folder,
        asset=manifest.asset,
        partition=manifest.partition,
        key=manifest.key,
        version=manifest.version,
        inputs=manifest.inputs,
        references=manifest.references,
        made=manifest.made,
        bytes=size,
        adapter=_adapter(manifest),
    )


def _adapter(manifest: Manifest) -> str:
    if manifest.asset[-1] not in ADAPTERS:
        return ""
    try:
        return adapter_version(manifest)
    except StoreError:
        return ""


def _is_keyed(folder: str) -> bool:
    """Whether it is called like an artifact's: assets/<asset, of one name or two>/<partition>/<key>"""
    parts = folder.split("/")
    return len(parts) in (4, 5) and _KEY.match(parts[-1]) is not None


def pointed(name: str, content: bytes) -> str:
    """The folder that a `latest.json` points to."""
    try:
        return f"{PurePosixPath(name).parent}/{json.loads(content)['key']}"
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(name, "cannot be read", "Materialize that asset again.") from error
