"""Pairs: two runs of the same director at the same time.

The second begins a random while after the first, early enough to find it at work, both on an empty world.  That they
met, their journals and records tell: stages of both were at work at one moment, and one came to a lock that the other
held.  Whoever finds a stage being written is told by whom, or waits for it, or reuses it; there is one result, an
undisturbed run's.
"""

import random
import time
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bars import at_least, at_most
from benchmarks.faulting.disks import bars_of_last, said
from benchmarks.faulting.journal import spells, together
from benchmarks.faulting.moments import START, enter
from benchmarks.faulting.worlds import DIRECTOR, LONGEST_S, Asked, Undisturbed, ended, half_written, new_world, say
from tests.tiny_project import Child, Outcome, TinyProject

PAIRS = 4
AT_LOCK = 2  # of them; a second run may find stage after stage made, until there is none
TOLD = "is being written by run "


def measure(folder: Path, asked: Asked) -> dict[str, Any]:
    """See the module's words."""
    undisturbed = Undisturbed.make(folder / "undisturbed")
    rng, pairs, lasts = random.Random(asked.seed), list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(PAIRS):
        world = new_world(folder / "world")
        after_s = 0.0 if number == 0 else rng.uniform(0, _latest(undisturbed))
        children = []
        for wait_s in (0.0, after_s):
            time.sleep(wait_s)
            children.append(world.start(DIRECTOR, first=partial(enter, world.folder)))
        outcomes = [child.end(LONGEST_S) for child in children]
        pairs.append(
            {
                "after_s": round(after_s, 2),
                "exit_codes": [outcome.code for outcome in outcomes],
                "said": [said(outcome) for outcome in outcomes],
                **_met(world, children, outcomes),
                "half_written": half_written(world, undisturbed),
            }
        )
        lasts.append(ended(world, undisturbed))
        say(f"{pairs[-1]}\n{lasts[-1]}")
    ends = [end for pair in pairs for end in zip(pair["exit_codes"], pair["said"], strict=True)]
    refused = [words for code, words in ends if code]
    return {
        "pairs": pairs,
        "lasts": lasts,
        "bars": [
            at_least(
                "pairs of which both were at work at one moment", sum(bool(pair["at_once"]) for pair in pairs), PAIRS
            ),
            at_least(
                "pairs of which one came to the other's lock", sum(bool(pair["at_lock"]) for pair in pairs), AT_LOCK
            ),
            at_least("pairs of which one run ended well", sum(0 in pair["exit_codes"] for pair in pairs), len(pairs)),
            at_least(
                "runs refused that tell who is at it",
                sum(bool(words) and all(TOLD in error for error in words) for words in refused),
                len(refused),
            ),
            at_most("things half-written that a reader could see", sum(len(pair["half_written"]) for pair in pairs), 0),
            *bars_of_last(lasts),
        ],
    }


def _latest(undisturbed: Undisturbed) -> float:
    """When the second may begin at the latest, to have started before the first's end."""
    seconds = undisturbed.told.seconds
    return 0.9 * (sum(seconds.values()) - seconds[START])


def _met(world: TinyProject, children: Sequence[Child], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Stages of the first that were at work while one of the second was; and what either said of the other's locks."""
    first, second = (spells(world.folder, child.process.pid) for child in children)
    of_first, of_second = ({spell.run for spell in one if spell.run} for one in (first, second))
    lines = []
    with world.instance() as instance:
        for outcome, own, others in zip(outcomes, (of_first, of_second), (of_second, of_first), strict=True):
            logged = [entry.user_message for run in own for entry in instance.all_logs(run)]
            lines += held_by(others, [*said(outcome), *logged])
    return {"at_once": list(dict.fromkeys(mine for mine, _ in together(first, second))), "at_lock": lines}


def held_by(others: Collection[str], told: Sequence[str]) -> list[str]:
    """What a run told of locks that these others hold."""
    return [line for line in told if any(f"{TOLD}{other}" in line for other in others)]
