"""Learned: which stills an adapter has learned, as adapters, samples and evaluations carry it along.

Belongs here: the file.  A still that an adapter has learned must not judge it, now or when a later one is compared with
it.  The file names stills: it stays in the store.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

FILE = "learned.json"


def write_learned(folder: Path, learned: Mapping[str, Collection[str]]) -> None:
    """Ids of stills, by the arm that the adapter draws."""
    told = {arm: sorted(stills) for arm, stills in learned.items()}
    (folder / FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def decode_learned(data: bytes) -> dict[str, frozenset[str]]:
    """The inverse."""
    return {arm: frozenset(stills) for arm, stills in json.loads(data).items()}
