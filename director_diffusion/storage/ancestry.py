"""Ancestry: which artifacts of a store were made of which.

Belongs here: following the versions of inputs that manifests hold, up and down.  What the artifacts mean is said
elsewhere.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from director_diffusion.storage.artifact import MANIFEST, UNPARTITIONED, Artifact, Manifest
from director_diffusion.storage.store import Store

Asset = tuple[str, ...]
LOOKED_AT = ("published_before",)
"""Assets, by their last names, whose content is of another adapter than the one they read: mostly it is "nothing", and
then the same for all.  Who asks what came of an adapter or a still goes no further there."""


class Ancestry:
    """All artifacts of a store, the latest and those before, as they were when first asked for."""

    def __init__(self, store: Store):
        self.store = store
        self._read: dict[str, Artifact] = {}

    @property
    def partitions(self) -> list[str]:
        """Of which there is any artifact, sorted."""
        return sorted({partition for _, partition in self._keys if partition != UNPARTITIONED})

    def assets(self, partition: str) -> list[Asset]:
        """Those of which the partition has an artifact, sorted."""
        return sorted(asset for asset, of in self._keys if of == partition)

    def of(self, asset: Asset, partition: str | None) -> list[Artifact]:
        """The artifacts of one asset and partition in the order in which they were made, undated ones first."""
        place = partition or UNPARTITIONED
        found = (self._artifact(asset, place, key) for key in self._keys.get((asset, place), []))
        return sorted(found, key=lambda artifact: artifact.manifest.made)

    def find(self, asset: Asset, partition: str | None, version: str) -> Artifact | None:
        """The artifact of that version, or None where the store has it no more."""
        return next((artifact for artifact in self.of(asset, partition) if artifact.version == version), None)

    def inputs(self, artifact: Artifact) -> dict[str, Artifact | None]:
        """What an artifact was made of, by the asset's name; None where the store has it no more."""
        return {name: self._input(artifact, name) for name in artifact.manifest.inputs}

    def input(self, artifact: Artifact, ending: str) -> Artifact | None:
        """The first input whose asset has the last name `ending` (of a gathered one, with its partition); None where
        there is none, or no more.
        """
        names = (name for name in artifact.manifest.inputs if f"/{name}".endswith(f"/{ending}"))
        return next((self._input(artifact, name) for name in names), None)

    def descendants(
        self,
        artifacts: Iterable[Artifact],
        *,
        gathered: bool = False,
        stop: Callable[[Artifact], bool] = lambda artifact: False,
    ) -> list[Artifact]:
        """All that was made of these, directly or not, in lineage order.

        Within their partitions, or with `gathered` also where another partition's artifact, or one of no partition, was
        made of all partitions' at once, and what partitions made of such a one; for this every manifest of the store is
        read.  An artifact at which to `stop` is left out, and what was made of it is reached by other ways only.
        """
        found: dict[str, Artifact] = {}
        level = list(artifacts)
        while level:
            users = {user.folder: user for artifact in level for user in self._users(artifact, gathered)}
            users = {folder: user for folder, user in users.items() if not stop(user)}
            level = list(users.values())
            for user in level:
                found.pop(user.folder, None)  # what is reached later stands later: after all that it was made of
                found[user.folder] = user
        return list(found.values())

    def _users(self, artifact: Artifact, gathered: bool) -> list[Artifact]:
        name, own = "/".join(artifact.manifest.asset), artifact.manifest.partition or UNPARTITIONED
        found = [user for user in self._all(own) if user.manifest.inputs.get(name) == artifact.version]
        if gathered:
            everyone = (user for partition in (*self.partitions, UNPARTITIONED) for user in self._all(partition))
            name = f"{name}/{own}" if artifact.manifest.partition is not None else name
            found += [user for user in everyone if user.manifest.inputs.get(name) == artifact.version]
        return found

    def _all(self, partition: str) -> Iterator[Artifact]:
        return (artifact for asset in self.assets(partition) for artifact in self.of(asset, partition))

    def _input(self, artifact: Artifact, name: str) -> Artifact | None:
        """Of the same partition, of none, or gathered: then the name ends with the partition."""
        asset, version = tuple(name.split("/")), artifact.manifest.inputs[name]
        places = [(asset, artifact.manifest.partition), (asset, None), (asset[:-1], asset[-1])]
        return next((found for place in places if (found := self.find(*place, version)) is not None), None)

    def _artifact(self, asset: Asset, place: str, key: str) -> Artifact:
        name = "/".join(("assets", *asset, place, key, MANIFEST))
        if name not in self._read:
            self._read[name] = Artifact(self.store, Manifest.model_validate_json(self.store.read(name)))
        return self._read[name]

    @cached_property
    def _keys(self) -> dict[tuple[Asset, str], list[str]]:
        found: dict[tuple[Asset, str], list[str]] = defaultdict(list)
        for name in sorted(self.store.sizes("assets")):
            *asset, place, key, file = name.split("/") if name.count("/") >= 3 else ("", "", "", "")
            if file == MANIFEST:
                found[tuple(asset), place].append(key)
        return dict(found)
