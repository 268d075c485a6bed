"""Journal: which stages a disturbed run was at work in, and when, as it said itself.

Belongs here: the note that every run of a world keeps beside its disks, which a SIGKILL leaves behind, and what is read
of it: what was at work at a moment, and what of two runs was at work at once.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

BETWEEN = "between stages"
FOLDER = "journal"


@dataclass(frozen=True)
class Spell:
    """A stage at work, from its first line to its last; what Dagster does before and after is not of it."""

    stage: str
    run: str  # "" of what comes before the stages
    began: float  # by the machine's monotonic clock, which all its processes share
    ended: float | None = None  # None: it was cut off

    def lasts_at(self, moment: float) -> bool:
        return self.began <= moment and (self.ended is None or moment < self.ended)


def keep_journal(world: Path) -> Callable[[str, str, str], None]:
    """A new journal of this process; returns what notes that a stage of a run "begins" or "ends"."""
    (world / FOLDER).mkdir(exist_ok=True)
    file = os.open(_file(world, os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)

    def note(what: str, stage: str, run: str) -> None:
        os.write(file, f"{json.dumps([time.monotonic(), what, stage, run])}\n".encode())

    return note


def spells(world: Path, pid: int | None) -> list[Spell]:
    """Of a run's process, in the order in which they began."""
    found = list[Spell]()
    for line in _file(world, pid).read_text().splitlines():
        at, what, stage, run = json.loads(line)
        if found and found[-1].ended is None:
            found[-1] = replace(found[-1], ended=at)  # what comes before the stages ends without a word
        if what == "begins":
            found.append(Spell(stage, run, at))
    return found


def cut_off(of_run: Sequence[Spell]) -> str:
    """The stage at which a run that was killed was at work."""
    return of_run[-1].stage if of_run and of_run[-1].ended is None else BETWEEN


def at_work(of_run: Iterable[Spell], moment: float) -> str:
    return next((spell.stage for spell in of_run if spell.lasts_at(moment)), BETWEEN)


def is_within(of_run: Sequence[Spell], moment: float) -> bool:
    """Whether a run had begun a stage by then, and went on with one afterwards."""
    stages = [spell for spell in of_run if spell.run]
    return any(spell.began <= moment for spell in stages) and any(_is_seen_after(spell, moment) for spell in stages)


def turned(of_run: Iterable[Spell], since: float, until: float) -> list[str]:
    """Stages that began or ended in a while, and had records to write then."""
    moments = [(at, spell.stage) for spell in of_run for at in (spell.began, spell.ended) if at is not None]
    return list(dict.fromkeys(stage for at, stage in moments if since <= at <= until))


def together(one: Iterable[Spell], other: Sequence[Spell]) -> list[tuple[str, str]]:
    """Stages of two runs that were at work at one moment."""
    return [
        (mine.stage, its.stage)
        for mine in one
        for its in other
        if mine.run and its.run and (mine.lasts_at(its.began) or its.lasts_at(mine.began))
    ]


def _is_seen_after(spell: Spell, moment: float) -> bool:
    return spell.began > moment or (spell.ended is not None and spell.ended > moment)


def _file(world: Path, pid: int | None) -> Path:
    return world / FOLDER / f"{pid}.jsonl"
