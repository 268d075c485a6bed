"""Figures: what earlier versions of an asset took, as their manifests tell.

Belongs here: medians over a store's artifacts, whichever director's.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from statistics import median

from director_diffusion.storage.artifact import MANIFEST, Manifest
from director_diffusion.storage.store import Store

MOST = 16  # manifests that are read for an asset


@dataclass(frozen=True)
class Figures:
    """Of one asset's versions."""

    measured: int  # versions
    seconds: float  # the median time that one was made in
    bytes: int  # the median size, with the cached items that it refers to: of which some may be there already


def figures(store: Store, asset: tuple[str, ...]) -> Figures | None:
    """What a version took, by a few of each partition; None where there is none."""
    folder = "/".join(("assets", *asset))
    names = [name for name in store.sizes(folder) if PurePosixPath(name).name == MANIFEST]
    told = store.read_those([f"{folder}/{name}" for name in _in_turn(names)[:MOST]])
    manifests = [Manifest.model_validate_json(content) for content in told.values()]
    if not manifests:
        return None
    return Figures(
        measured=len(manifests),
        seconds=median(manifest.seconds for manifest in manifests),
        bytes=round(median(_bytes(store, manifest) for manifest in manifests)),
    )


def _in_turn(names: list[str]) -> list[str]:
    """One of each partition, then a second of each: none with many versions speaks for all."""
    seen = Counter[str]()
    turns = list[tuple[int, str]]()
    for name in sorted(names):
        partition = name.partition("/")[0]
        turns.append((seen[partition], name))
        seen[partition] += 1
    return [name for _, name in sorted(turns)]


def _bytes(store: Store, manifest: Manifest) -> int:
    referred: dict[str, list[str]] = defaultdict(list)
    for name in manifest.references:
        path = PurePosixPath(name)
        referred[str(path.parent)].append(path.name)
    items = sum(sum(store.sizes_of(folder, names).values()) for folder, names in referred.items())
    return sum(file.size for file in manifest.files) + items
