"""Withdrawn stills: which contents may not be used any more, told by their hash alone.

    withdrawn/<director>.json     replaced whole; nothing is ever taken out

Belongs here: the record, and the words that a row carries of it.  Taking a still out of a store is `withdrawal`'s.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from director_diffusion.errors import StoreError
from director_diffusion.storage.store import Store

FOLDER = "withdrawn"
REASON = "withdrawn"


@dataclass(frozen=True)
class Withdrawn:
    """One entry."""

    sha256: str  # of the file
    date: str  # ISO 8601, UTC
    who: str

    @property
    def reason(self) -> str:
        """What the row says of a file with these bytes."""
        return f"{REASON}: its bytes were withdrawn on {self.date[:10]} and may not come back"


def withdrawn_name(director: str) -> str:
    """The store's name of the record."""
    return f"{FOLDER}/{director}.json"


def read_withdrawn(store: Store, director: str) -> dict[str, Withdrawn]:
    """By hash.  Raises StoreError for a file that cannot be read: what was withdrawn must not come back by a slip."""
    name = withdrawn_name(director)
    data = store.read_those([name]).get(name)
    if data is None:
        return {}
    try:
        found = [Withdrawn(**entry) for entry in json.loads(data)]
    except (ValueError, TypeError) as error:
        raise StoreError(name, "holds no withdrawn stills", "Put back what was there.") from error
    return {entry.sha256: entry for entry in found}


def add_withdrawn(store: Store, director: str, entries: Sequence[Withdrawn]) -> None:
    """Add those that are not in it yet; the caller holds the store's gate."""
    known = read_withdrawn(store, director)
    known |= {entry.sha256: entry for entry in entries if entry.sha256 not in known}
    store.write(
        withdrawn_name(director), (json.dumps([asdict(one) for one in known.values()], indent=1) + "\n").encode()
    )
