"""Votes: where the ledger is that people's votes are written to."""

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from director_diffusion.voting.ledger import Ledger


class VotesResource(dg.ConfigurableResource):
    """The ledger of a deployment, if it has one."""

    url: str | None  # None: the store is no folder, and the deployment names no database

    def ledger(self) -> "Ledger | None":
        """Opened anew: whoever asks closes it.  Raises LedgerError where it cannot be opened."""
        from director_diffusion.voting.ledger import Ledger

        return None if self.url is None else Ledger(self.url)
