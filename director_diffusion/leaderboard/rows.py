"""Rows of the leaderboard, their order and their files.  Imports no torch.

Belongs here: what is told of an adapter.  Where it is read from is `entries`' matter, how it looks `columns`'.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from director_diffusion.evaluation.types import Outcome
from director_diffusion.sampling.rows import Arm
from director_diffusion.specs import Tier
from director_diffusion.tables import write_table

Entrant = Literal[Arm, "joint_adapter"]  # of the arms, those that wear one
Span = tuple[float, float, float]  # a value with the lower and the upper end of its interval

TABLE_FILE, FILE = "leaderboard.parquet", "leaderboard.json"
RANKS: Mapping[Outcome | None, int] = {"pass": 0, "undecided": 1, "fail": 2, None: 3}


@dataclass(frozen=True)
class Entry:
    """What is known of one adapter of a director.  What is not is None, and `notes` say why."""

    recipe: str
    base: str
    director: str
    entrant: Entrant
    verdict: Outcome | None = None
    tier: Tier | None = None  # of the evaluation that says so
    style: float | None = None  # effect on closeness to held-out stills, against the base asked in the style
    style_low: float | None = None
    style_high: float | None = None
    prompt: float | None = None  # effect on prompt fidelity, against the base
    prompt_low: float | None = None
    prompt_high: float | None = None
    votes: int | None = None  # on the adapter against the base asked in the style
    preliminary: bool | None = None  # too few of them, or of voters
    voted_style: float | None = None  # share of votes that find it closer to the director
    voted_style_low: float | None = None
    voted_style_high: float | None = None
    voted_prompt: float | None = None  # that find it closer to the words
    voted_prompt_low: float | None = None
    voted_prompt_high: float | None = None
    size_bytes: int | None = None  # of its own weights: a student's come on top of the adapter's
    training_steps: int | None = None
    training_seconds: float | None = None  # of these steps, on whatever machine it was
    images_per_second: float | None = None  # while its samples were drawn
    reasons: tuple[str, ...] = ()  # of the verdict
    notes: tuple[str, ...] = ()

    def span(self, name: Literal["style", "prompt", "voted_style", "voted_prompt"]) -> Span | None:
        """A value with its interval."""
        found = tuple(getattr(self, f"{name}{end}") for end in ("", "_low", "_high"))
        return None if None in found else (found[0], found[1], found[2])


def spanned(name: str, value: float, low: float, high: float) -> dict[str, Any]:
    """The fields of a value with its interval."""
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def ranked(entries: Iterable[Entry]) -> list[Entry]:
    """By verdict (passed, undecided, failed, not judged), then by the lower end of the style effect's interval.

    The verdict goes first because a style effect alone can be had by copying stills or by forgetting the words; the
    lower end, because an interval's middle rewards whoever was judged by few pictures.
    """

    def order(entry: Entry) -> tuple[int, float, str, str, str]:
        low = -entry.style_low if entry.style_low is not None else float("inf")
        return RANKS[entry.verdict], low, entry.director, entry.recipe, entry.entrant

    return sorted(entries, key=order)


def write_leaderboard(entries: Sequence[Entry], folder: Path) -> None:
    """Write the files, in the given order."""
    write_table(folder / TABLE_FILE, Entry, entries)
    text = json.dumps([asdict(entry) for entry in entries], indent=1, ensure_ascii=False, allow_nan=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def leaderboard_from(data: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """The parsed content of `leaderboard.json`."""
    return [Entry(**{**one, "reasons": tuple(one["reasons"]), "notes": tuple(one["notes"])}) for one in data]
