"""The hub: where published adapters go."""

import os
from typing import TYPE_CHECKING

import dagster as dg

from director_diffusion.models.token import TOKEN_VARIABLE
from director_diffusion.storage import Store

if TYPE_CHECKING:
    from director_diffusion.publishing.hubs import Hub
    from director_diffusion.publishing.publish import Publication


class HubResource(dg.ConfigurableResource):
    """A folder, local or on an object store, laid out as a hub's repositories; or a server."""

    url: str  # of the folder, or the server's endpoint
    server: bool = False
    private: bool = True  # how a server makes repositories

    def get(self) -> "Hub":
        """Raises PublishError where a server is to be written to and there is no token in the environment."""
        if not self.server:
            from director_diffusion.publishing.folder_hub import FolderHub

            return FolderHub(Store(self.url))
        from director_diffusion.publishing.hub_server import HubServer

        return HubServer(self.url, os.environ.get(TOKEN_VARIABLE), private=self.private)

    def where(self, publication: "Publication") -> str:
        """Where people find what it left there; "" where it left nothing."""
        return publication.url or (Store(self.url).full(publication.folder) if publication.folder else "")
