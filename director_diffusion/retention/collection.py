"""A collection: what may go from a store, with the reason for each thing.

Belongs here: plain data.
"""

from collections.abc import Collection as Names
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

LEAST_AGE = timedelta(hours=1)  # what is younger may be somebody's unfinished work
LEFT_BEHIND = timedelta(days=1)  # no file is written for so long
LEFT_BY_STEP = timedelta(days=7)  # nor does a step last so long

Kind = Literal["artifact", "remains", "item", "work", "leftover"]


@dataclass(frozen=True)
class Policy:
    """What is to be kept beside what must be."""

    keep_days: float = 30
    keep_versions: int = 3

    @property
    def keep(self) -> timedelta:
        return max(timedelta(days=self.keep_days), LEAST_AGE)


@dataclass(frozen=True)
class Removal:
    """One thing that may go."""

    kind: Kind
    what: str  # the asset, or the kind of cached item
    name: str  # the store's, or a path of this machine for what lies beside the store
    why: str
    bytes: int


@dataclass(frozen=True)
class Kept:
    """How much stays for one reason."""

    what: str
    why: str
    count: int
    bytes: int


@dataclass(frozen=True)
class Collection:
    """What may go, in the order in which it goes, and what stays."""

    removals: tuple[Removal, ...]
    kept: tuple[Kept, ...]
    notes: tuple[str, ...] = ()  # what could not be told, in sentences

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.removals)

    @property
    def names(self) -> Names[str]:
        return {one.name for one in self.removals}
