"""The store and the IO manager: where artifacts are, and how a step gets at those it reads."""

from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import UNPARTITIONED, usable_artifact, usable_artifacts
from director_diffusion.storage.read_cache import ReadCache
from resources.pictures import INLINE
from resources.secrets import without_secrets

GATHERED = "director/gathered"


class StoreResource(dg.ConfigurableResource):
    """The folder or bucket that holds stills, artifacts and caches."""

    url: str
    cache: str = ""  # folder of what was read of a bucket
    cache_bytes: int = 0  # 0: nothing is kept
    pictures: str = INLINE  # how run metadata shows them (`resources.pictures`)
    _store: Store | None = PrivateAttr(default=None)

    def get(self) -> Store:
        """The store, opened once for each process and resource."""
        if self._store is None:
            kept = ReadCache(Path(self.cache), self.cache_bytes) if self.cache_bytes else None
            self._store = Store(self.url, cache=kept)
        return self._store


class ArtifactIOManager(dg.ConfigurableIOManager):
    """Hands lazy handles from stage to stage; the artifacts themselves are written by `@stage`."""

    store: dg.ResourceDependency[StoreResource]

    def handle_output(self, context: dg.OutputContext, obj: Artifact) -> None:
        """Nothing is left to write: `@stage` has made the artifact and switched `latest.json` to it."""

    @without_secrets()
    def load_input(self, context: dg.InputContext) -> Artifact | dict[str, Artifact]:
        """A handle on what readers see; of gathered inputs one for each partition that has any.

        Raises StoreError where nothing was made yet, or a blocking check of it failed, naming the check; of gathered
        inputs such ones are left out.
        """
        asset = tuple(context.asset_key.path)
        if (context.definition_metadata or {}).get(GATHERED):
            partitions = context.asset_partition_keys if context.has_asset_partitions else [UNPARTITIONED]
            return usable_artifacts(self.store.get(), asset, partitions)
        partition = context.asset_partition_key if context.has_asset_partitions else None
        return usable_artifact(self.store.get(), asset, partition)


def gathered_in(key: dg.AssetKey) -> dg.AssetIn:
    """An input of all partitions of `key` at once, or of its only making: those that there are by now, since no run can
    wait for all.
    """
    return dg.AssetIn(key=key, partition_mapping=dg.AllPartitionMapping(), metadata={GATHERED: True})


def gathered_by(asset: dg.AssetsDefinition) -> list[dg.AssetKey]:
    """What an asset takes of all partitions at once."""
    keys = asset.keys_by_input_name.items()
    return [key for name, key in keys if asset.op.ins[name].metadata.get(GATHERED)]
