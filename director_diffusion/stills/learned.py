"""Learned: which stills an adapter knows, as adapters, samples and evaluations carry it along.

Belongs here: the file.  A still that an adapter was trained on, or whose loss chose its step, must not judge it, now or
when a later one is compared with it.  The file names stills: it stays in the store.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from director_diffusion.stills.rows import Split
from director_diffusion.storage import Artifact

FILE = "learned.json"

Learned = Mapping[str, Split]
"""What each still was to an adapter that knows it, by still id: `train` or `validation`; any other was held out."""

ADAPTER = "adapter"  # whose stills they are, in the file of one director's adapter


def write_learned(folder: Path, learned: Mapping[str, Learned]) -> None:
    """By the arm that the adapter draws; of an adapter of several directors itself, by director."""
    told = {arm: dict(sorted(stills.items())) for arm, stills in learned.items()}
    (folder / FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def decode_learned(data: bytes) -> dict[str, dict[str, Split]]:
    """The inverse."""
    found: dict[str, dict[str, Split]] = json.loads(data)
    return found


def learned_of(adapter: Artifact, director: str = "") -> dict[str, Split]:
    """The stills that an adapter knows; of an adapter of several directors those of one, where it is said which.

    Raises StoreError where its file is gone.
    """
    told = decode_learned(adapter.read(FILE))
    if ADAPTER in told:
        return told[ADAPTER]
    return (
        dict(told.get(director, {}))
        if director
        else {still: one for own in told.values() for still, one in own.items()}
    )


def directors_learned(adapter: Artifact) -> dict[str, str]:
    """Whose each still is that an adapter of several directors knows."""
    return {still: slug for slug, stills in decode_learned(adapter.read(FILE)).items() for still in stills}
