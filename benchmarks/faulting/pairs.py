"""Pairs: two runs of the same director at the same time.

The second begins a random while after the first, both on an empty world.  Whoever finds a stage being written is told
by whom, or waits for it, or reuses it; there is one result, an undisturbed run's.
"""

import random
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bars import at_least, at_most
from benchmarks.faulting.disks import bars_of_last, said
from benchmarks.faulting.moments import enter
from benchmarks.faulting.worlds import DIRECTOR, LONGEST_S, Asked, Undisturbed, ended, half_written, new_world, say

PAIRS = 4
TOLD = "is being written by run "


def measure(folder: Path, asked: Asked) -> dict[str, Any]:
    """See the module's words."""
    undisturbed = Undisturbed.make(folder / "undisturbed")
    rng, pairs, lasts = random.Random(asked.seed), list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(PAIRS):
        world = new_world(folder / "world")
        after_s = 0.0 if number == 0 else rng.uniform(0, sum(undisturbed.told.seconds.values()))
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
