"""The hub: where published adapters go."""

import dagster as dg

from director_diffusion.storage import Store


class HubResource(dg.ConfigurableResource):
    """A folder, local or on an object store, laid out as a hub's repositories."""

    url: str

    def get(self) -> Store:
        return Store(self.url)
