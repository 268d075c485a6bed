"""The record: what is live for a director and recipe, and was before.

Belongs here: reading it and adding to it, and how far its entries were delivered; nothing is ever taken out.

    releases/<recipe>/<director>.json     replaced whole
    deliveries/<recipe>/<director>.json   how many of its entries there were when the last of them had been delivered
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from director_diffusion.errors import StoreError
from director_diffusion.storage.store import Store


@dataclass(frozen=True)
class Release:
    """One entry: from here on this adapter version is live."""

    act: Literal["promoted", "rolled back"]
    adapter_version: str  # SHA-256 of the adapter's weights file
    adapter_key: str  # of the artifact that holds them
    repo_id: str  # where it is published, and as which commit
    commit: str
    verdict: Literal["pass", "fail", "undecided"]  # that it was published with
    signed_off_by: str  # who answers for it where the verdict does not pass; "" where it does
    who: str
    why: str
    date: str  # ISO 8601, UTC


def release_name(recipe: str, director: str) -> str:
    """The store's name of the record."""
    return f"releases/{recipe}/{director}.json"


def read_releases(store: Store, recipe: str, director: str) -> tuple[Release, ...]:
    """All entries, the oldest first; the last is live.  Raises StoreError for a file that holds none."""
    name = release_name(recipe, director)
    if not store.exists(name):
        return ()
    try:
        return tuple(Release(**entry) for entry in json.loads(store.read(name)))
    except (ValueError, TypeError) as error:
        raise StoreError(name, f"holds no releases: {error}", "Put back what was there, or delete the file.") from error


def write_releases(store: Store, recipe: str, director: str, entries: Sequence[Release]) -> None:
    """Replace the record; the caller holds its lock."""
    text = json.dumps([asdict(entry) for entry in entries], indent=1, ensure_ascii=False) + "\n"
    store.write(release_name(recipe, director), text.encode())


def read_delivered(store: Store, recipe: str, director: str) -> int | None:
    """How many entries there were when the last of them had been delivered, whatever became of its files since; None
    before any delivery was noted.  Raises StoreError for a file that does not say so."""
    name = _delivered_name(recipe, director)
    if not store.exists(name):
        return None
    try:
        return int(json.loads(store.read(name))["entries"])
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(name, f"holds no count of entries: {error}", "Delete the file.") from error


def write_delivered(store: Store, recipe: str, director: str, entries: int) -> None:
    """Note that the last of so many entries has been delivered; the caller holds the delivery's lock."""
    store.write(_delivered_name(recipe, director), json.dumps({"entries": entries}).encode())


def _delivered_name(recipe: str, director: str) -> str:
    return f"deliveries/{recipe}/{director}.json"


def live(entries: Sequence[Release]) -> Release | None:
    """What is live, or None where nothing was promoted yet."""
    return entries[-1] if entries else None


def line_of(entries: Sequence[Release]) -> list[Release]:
    """What a rollback goes back along: the live version last, before it the one that it replaced, and so on.

    A version that was rolled back from is not in the line any more.
    """
    line: list[Release] = []
    for entry in entries:
        if entry.act == "rolled back":
            line.pop()
            while line and line.pop().adapter_version != entry.adapter_version:
                pass
            line.append(entry)
        else:
            line.append(entry)
    return line
