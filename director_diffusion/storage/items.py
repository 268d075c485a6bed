"""Items: content-addressed pieces of work inside a partition, shared by all runs.

Belongs here: the cache under `cache/<kind>/<fingerprint>/<item>`.  An item's name says all that its content depends on,
so an item is written once and never stale.
"""

import re
from collections.abc import Iterable

from director_diffusion.errors import StoreError
from director_diffusion.storage.store import Store

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


class ItemCache:
    """The items of one kind and fingerprint, such as latents of one VAE with one preprocessing."""

    def __init__(self, store: Store, kind: str, fingerprint: str, suffix: str):
        for part in (kind, fingerprint):
            if not _NAME.match(part):
                raise StoreError(part, "cannot name a cache", "Use letters, digits, '.', '_' and '-'.")
        self.store, self.folder, self.suffix = store, f"cache/{kind}/{fingerprint}", suffix

    def name(self, item: str) -> str:
        """The store's name of an item."""
        if not _NAME.match(item):
            raise StoreError(item, "cannot name an item", "Use letters, digits, '.', '_' and '-'.")
        return f"{self.folder}/{item}{self.suffix}"

    def missing(self, items: Iterable[str]) -> list[str]:
        """Those of `items` that are not there yet, in order, each once."""
        wanted = list(dict.fromkeys(items))
        present = self.store.present([self.name(item) for item in wanted])
        return [item for item in wanted if self.name(item) not in present]

    def read(self, item: str) -> bytes:
        return self.store.read(self.name(item))

    def read_start(self, item: str, size: int) -> bytes:
        """The first `size` bytes, or all of an item that is shorter."""
        return self.store.read_start(self.name(item), size)

    def write(self, item: str, data: bytes) -> None:
        self.store.write(self.name(item), data)
