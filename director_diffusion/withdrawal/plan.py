"""A withdrawal: what is to go, and who has seen it.

Belongs here: plain data, and its form as a file, by which a withdrawal that was cut off is ended.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Taken:
    """One content that goes."""

    sha256: str  # of the file
    names: tuple[str, ...]  # film/file, as it was called here
    stills: tuple[str, ...]  # ids of the stills that were made of it


@dataclass(frozen=True)
class Learner:
    """An adapter that has seen it: it stays, and is another once it is made again."""

    asset: str
    partition: str  # "" where it is of no director's
    key: str
    split: str  # the still's in it
    latest: bool  # readers see it


@dataclass(frozen=True)
class Withdrawal:
    """All that a withdrawal takes away.  Names are the store's."""

    director: str
    who: str
    taken: tuple[Taken, ...]
    artifacts: tuple[str, ...] = ()  # folders
    pointers: tuple[str, ...] = ()  # `latest.json` files that point to one of them
    items: tuple[str, ...] = ()  # cached, and other files by themselves
    paths: tuple[str, ...] = ()  # of the disk of `host`, beside the store
    host: str = ""  # the machine that it was begun on
    source: tuple[str, ...] = ()  # what people put there: only where it was asked for
    moved_to: str = ""  # where `source` goes; "" for nowhere
    learners: tuple[Learner, ...] = ()
    published: tuple[str, ...] = ()  # where something went out that was made with it, in words
    notes: tuple[str, ...] = ()
    needles: tuple[str, ...] = ()  # any of these in a run's records, and the run tells of it
    names: tuple[str, ...] = ()  # the same, only in runs of this director or of none: another's may be called alike
    runs: tuple[str, ...] = ()  # ids, of the orchestrator's records

    def written(self) -> bytes:
        """As a file."""
        return json.dumps(asdict(self), indent=1).encode()


def read_withdrawal(data: bytes) -> Withdrawal:
    """The inverse.  Raises ValueError, KeyError or TypeError where it is none."""
    told: Mapping[str, Any] = json.loads(data)
    found: Withdrawal = _one(Withdrawal, {one.name: told[one.name] for one in fields(Withdrawal) if one.name in told})
    return replace(
        found,
        taken=tuple(_one(Taken, one) for one in told["taken"]),
        learners=tuple(_one(Learner, one) for one in told["learners"]),
    )


def _one(kind: type[Any], told: Mapping[str, Any]) -> Any:
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in told.items()})
