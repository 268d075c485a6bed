"""Disks: full and read-only ones, at every write.

Writes of the same sort (to files whose names differ in numbers and hashes alone) are taken for one.  Of each sort in
turn, from the first such write on, the disk on which it lies (the store's, or that of temporary files) is full in one
run and read-only in the next; the one after that goes on, to the next sort.  Each such run must end in words that name
the disk and the way out, and leave nothing half-written; or, where it could do without what it could not write, in what
an undisturbed run makes, as the last one must.
"""

import errno
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bars import at_least, at_most
from benchmarks.faulting.moments import fail_from_write
from benchmarks.faulting.worlds import (
    DIRECTOR,
    LONGEST_S,
    Asked,
    Undisturbed,
    as_rows,
    differing,
    ended,
    half_written,
    made_in,
    new_world,
    say,
)
from tests.tiny_project import Outcome, TinyProject

CODES = {"full": errno.ENOSPC, "read-only": errno.EROFS}
WORDS = {"full": ("no space left", "Free some"), "read-only": ("read-only", "Make it writable")}


def measure(folder: Path, asked: Asked) -> dict[str, Any]:
    """See the module's words."""
    undisturbed = Undisturbed.make(folder / "undisturbed")
    shapes = list(dict.fromkeys(write.shape for write in undisturbed.told.writes))
    found = len(shapes)
    if asked.writes and asked.writes < found:
        chosen = set(random.Random(asked.seed).sample(range(found), asked.writes))
        shapes = [shape for place, shape in enumerate(shapes) if place in chosen]
    world, runs, place = new_world(folder / "failing"), list[dict[str, Any]](), 0
    while place < len(shapes):
        pair = [one_run(world, undisturbed, shapes[place:], what) for what in CODES]
        runs += pair
        say(f"sort {place} of {len(shapes)}: {pair}")
        reached = [run["reached"] for run in pair if run["reached"] is not None]
        if not reached:
            break
        place += 1 + min(reached)  # what is done by now, or was not needed, is passed over
    last = ended(world, undisturbed)
    say(f"{last}")
    broken = [run for run in runs if run["reached"] is not None]
    failed = [run for run in broken if run["exit_code"]]
    without = [run for run in broken if not run["exit_code"]]
    hit = {run["write"] for run in broken}
    return {
        "writes": len(undisturbed.told.writes),
        "sorts": found,
        "tried": len(shapes),
        "passed_over": [" ".join(shape) for shape in shapes if shape not in hit],
        "done_without": sorted({" ".join(run["write"]) for run in without}),
        "unclear": [run for run in failed if not run["clear"]],
        "last": last,
        "bars": [
            at_least("share of the sorts that failed, others not being needed again", len(hit) / len(shapes), 0.5),
            at_least("runs that name the disk and the way out", sum(run["clear"] for run in failed), len(failed)),
            at_most(
                "runs that did without the disk and made something else",
                sum(bool(run["differing"]) for run in without),
                0,
            ),
            at_most("things half-written that a reader could see", sum(len(run["half_written"]) for run in runs), 0),
            *bars_of_last([last]),
        ],
    }


def bars_of_last(lasts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of runs that were left alone after all."""
    return [
        at_least("last runs that ended well", sum(one["exit_code"] == 0 for one in lasts), len(lasts)),
        at_least("last runs that made the same", sum(not one["differing"] for one in lasts), len(lasts)),
        at_most("things half-written in the end", sum(len(one["half_written"]) for one in lasts), 0),
        at_most("runs still called started", sum(one["unfinished_runs"] for one in lasts), 0),
    ]


def one_run(
    world: TinyProject, undisturbed: Undisturbed, shapes: Sequence[tuple[str, str]], what: str
) -> dict[str, Any]:
    """A run whose disk fails from the first write of one of these sorts on."""
    reached = world.folder / "reached"
    reached.unlink(missing_ok=True)
    first = partial(fail_from_write, world.folder, shapes, CODES[what], reached)
    outcome = world.start(DIRECTOR, first=first).end(LONGEST_S)
    place = int(reached.read_text()) if reached.exists() else None
    return {
        "reached": place,
        "write": shapes[place] if place is not None else (),
        "disk": what,
        "exit_code": outcome.code,
        "clear": outcome.code == 0 or says(outcome, what),
        "said": said(outcome),
        "differing": differing(undisturbed.made, made_in(world.store)) if outcome.code == 0 else [],
        "half_written": half_written(world, undisturbed),
    }


def said(outcome: Outcome) -> list[str]:
    """What a failed run told of why."""
    if outcome.code == 0:
        return []
    told = [error for row in as_rows(outcome.out) for error in row["errors"]] if outcome.out.strip() else []
    return [line[:400] for line in told or outcome.err.strip().splitlines()[-1:]]


def says(outcome: Outcome, what: str) -> bool:
    """Whether there is an error, and every one tells of such a disk and what to do, and none at length."""
    lines = said(outcome)
    clear = all(words in line for line in lines for words in WORDS[what])
    return bool(lines) and clear and "Traceback" not in outcome.err
