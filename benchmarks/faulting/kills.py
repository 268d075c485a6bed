"""Kills: SIGKILL at random moments, the stage chosen evenly.

In each round, an empty world sees a run killed in every stage (of the last round, in some), from the start of the
process to the leaderboard; each run goes on where the one before was killed, so the re-run of a kill is what is killed
next.  By turns the moment is a time, drawn from how long the stage takes undisturbed, or a write, drawn from those it
does.  A run may be past the stage that was aimed at, or in Dagster's hands between two: kills are counted by the stage
that was at work, as the run's journal says, and by the one aimed at beside it.  After each kill, all that readers could
see must be whole; after the round, a run that is left alone ends in the keys and contents of an undisturbed one.
"""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from benchmarks.bars import at_least, at_most
from benchmarks.faulting.journal import BETWEEN, cut_off, spells
from benchmarks.faulting.moments import die_before_write, tell_when_begun
from benchmarks.faulting.worlds import (
    DIRECTOR,
    LONGEST_S,
    Asked,
    Undisturbed,
    ended,
    half_written,
    made_in,
    new_world,
    say,
)
from tests.tiny_project import Child, TinyProject

LEAST_AT_WORK = 0.5  # of the kills; the others come between stages, where Dagster writes its records


def measure(folder: Path, asked: Asked) -> dict[str, Any]:
    """See the module's words."""
    undisturbed = Undisturbed.make(folder / "undisturbed")
    rng, kills, rounds = random.Random(asked.seed), list[dict[str, Any]](), list[dict[str, Any]]()
    by_write = False
    while len(kills) < asked.kills:
        world = new_world(folder / "killed")
        for stage in _stages(undisturbed, asked.kills - len(kills), rng):
            by_write = not by_write
            one = kill(world, undisturbed, stage, rng, by_write=by_write)
            one["half_written"] = half_written(world, undisturbed)
            kills.append(one)
            say(f"kill {len(kills)}: {one}")
        rounds.append(ended(world, undisturbed))
        say(f"round {len(rounds)}: {rounds[-1]}")
    struck = [one for one in kills if one["killed"]]
    at_work = [one for one in struck if one["at_work"] != BETWEEN]
    return {
        "undisturbed_s": round(sum(undisturbed.told.seconds.values()), 1),
        "kills": len(struck),
        "runs_over_before": len(kills) - len(struck),
        **counted(struck),
        "rounds": rounds,
        "bars": [
            at_least("runs killed", len(struck), round(0.9 * asked.kills)),
            at_least("of these, while a stage was at work", len(at_work), round(LEAST_AT_WORK * len(struck))),
            at_most("runs that failed by themselves", sum(one["code"] not in (0, -signal.SIGKILL) for one in kills), 0),
            at_most("things half-written that a reader could see", sum(len(one["half_written"]) for one in kills), 0),
            at_least("rounds that ended well", sum(one["exit_code"] == 0 for one in rounds), len(rounds)),
            at_least("rounds that made the same", sum(not one["differing"] for one in rounds), len(rounds)),
            at_most("things half-written in the end", sum(len(one["half_written"]) for one in rounds), 0),
            at_most("runs still called started", sum(one["unfinished_runs"] for one in rounds), 0),
        ],
    }


def counted(struck: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Kills by the stage that was at work, and by the one aimed at."""
    return {
        "by_stage_at_work": dict(Counter(one["at_work"] for one in struck)),
        "by_stage_aimed_at": dict(Counter(one["stage"] for one in struck)),
        "hit_as_aimed": sum(one["at_work"] == one["stage"] for one in struck),
    }


def _stages(undisturbed: Undisturbed, most: int, rng: random.Random) -> list[str]:
    """All, in the order in which they run; or a part of them, of which each is as likely."""
    stages = list(undisturbed.told.seconds)
    if most >= len(stages):
        return stages
    chosen = set(rng.sample(stages, most))
    return [stage for stage in stages if stage in chosen]


def kill(
    world: TinyProject, undisturbed: Undisturbed, stage: str, rng: random.Random, *, by_write: bool
) -> dict[str, Any]:
    """Have a run killed in a stage.  Says when that was, what was at work, and whether it was before the run's end."""
    writes = sum(write.stage == stage for write in undisturbed.told.writes)
    if by_write and writes:
        number = rng.randrange(writes)
        child = world.start(DIRECTOR, first=partial(die_before_write, world.folder, stage, number))
        child.process.join(LONGEST_S)
        when = f"before write {number} of {writes}"
    else:
        moment = rng.uniform(0, undisturbed.told.spells[stage])
        child = killed_after(world, stage, moment)
        when = f"after {moment:.3f} s"
    code = child.process.exitcode
    if code != -signal.SIGKILL and code != 0:
        say(child.err)
    return {
        "stage": stage,
        "when": when,
        "killed": code == -signal.SIGKILL,
        "code": code,
        "at_work": cut_off(spells(world.folder, child.process.pid)),
        "published": stage in made_in(world.store),
    }


def killed_after(world: TinyProject, stage: str, moment: float) -> Child:
    """A run that is killed so long after a stage began, or has ended before."""
    with begun(world, stage) as child:
        time.sleep(moment)
        child.kill()
    return child


@contextlib.contextmanager
def begun(world: TinyProject, stage: str) -> Any:
    """A run that has just begun a stage, or has ended without."""
    pipe = world.folder / "begun"
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    heard = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        child = world.start(DIRECTOR, first=partial(tell_when_begun, world.folder, stage, pipe))
        wait([heard, child.process.sentinel], LONGEST_S)
        yield child
    finally:
        os.close(heard)
