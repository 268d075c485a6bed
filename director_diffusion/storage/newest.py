"""Newest: whether an artifact that gathers many others was made of what readers see of them now.

Belongs here: comparing a manifest's inputs with the store.  Of inputs that are still the same one small file is read
each, `latest.json`, and nothing is listed; of the others their manifest too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from director_diffusion.errors import StoreError
from director_diffusion.storage.artifact import Artifact, pointer
from director_diffusion.storage.latest import artifact_of
from director_diffusion.storage.store import Store

Asset = tuple[str, ...]


@dataclass(frozen=True)
class Input:
    """One input of an artifact, by the name that its manifest has for it."""

    asset: Asset
    partition: str | None

    @property
    def name(self) -> str:
        return "/".join((*self.asset, *([self.partition] if self.partition else [])))

    @property
    def words(self) -> str:
        return "/".join(self.asset) + (f" of {self.partition}" if self.partition else "")


@dataclass(frozen=True)
class Newer:
    """In what an artifact differs from one that would be made now."""

    compared: int  # inputs that there are now
    changed: tuple[Input, ...]
    come: tuple[Input, ...]
    gone: tuple[Input, ...]  # or not to be used any more: a blocking check failed
    lacking: tuple[str, ...]  # partitions of which nothing is in it

    @property
    def same(self) -> bool:
        return not (self.changed or self.come or self.gone)


def newer_inputs(store: Store, artifact: Artifact, assets: Mapping[Asset, Sequence[str] | None]) -> Newer:
    """Compare an artifact's inputs with what is there now of `assets`: of these partitions, or None for one without."""
    wanted = [
        Input(asset, place) for asset, places in assets.items() for place in ([None] if places is None else places)
    ]
    pointers = {pointer(one.asset, one.partition): one for one in wanted}
    had, now = artifact.manifest.inputs, set[str]()
    changed, come = list[Input](), list[Input]()
    for name, content in store.read_those(pointers).items():
        one, latest = pointers[name], json.loads(content)
        same = had.get(one.name) == latest["version"]
        if not same and not _usable(store, one, latest["key"]):
            continue
        now.add(one.name)
        if not same:
            (changed if one.name in had else come).append(one)
    gone = [one for one in wanted if one.name in had and one.name not in now]
    known = {one.name for one in wanted}
    left = [_unknown(name) for name in had if name not in known and _gathered(name, assets)]
    partitions = dict.fromkeys(place for places in assets.values() for place in places or ())
    inside = {one.partition for one in wanted if one.name in had}
    return Newer(
        compared=len(now),
        changed=tuple(changed),
        come=tuple(come),
        gone=tuple(gone + left),
        lacking=tuple(place for place in partitions if place not in inside),
    )


def _usable(store: Store, one: Input, key: str) -> bool:
    """Whether a stage would take it, as `usable_artifacts` says."""
    try:
        return artifact_of(store, one.asset, one.partition, key).failed_blocking_check() is None
    except StoreError:
        return False


def _gathered(name: str, assets: Mapping[Asset, Sequence[str] | None]) -> bool:
    """Whether a manifest's input is of one of these assets, of a partition that is none any more."""
    return tuple(name.split("/")[:-1]) in assets


def _unknown(name: str) -> Input:
    *asset, partition = name.split("/")
    return Input(tuple(asset), partition)
