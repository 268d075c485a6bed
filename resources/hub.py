"""The hub: where published adapters go."""

from pathlib import Path

import dagster as dg


class HubResource(dg.ConfigurableResource):
    """A folder laid out as a hub's repositories."""

    folder: str

    def root(self) -> Path:
        return Path(self.folder)
