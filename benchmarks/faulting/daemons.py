"""Daemons: Dagster's webserver and daemon, killed with -9 in the middle of a backfill, and started again.

A backfill over several directors is launched as the UI does.  Once the first partitions are made, all processes of the
server (`director dev`: webserver, daemon, code server and the runs that they started) are killed at once; a new server
over the same records takes the backfill to its end.  No partition may be lost, none made twice, and each must have the
keys that a run without a backfill gives it.
"""

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from benchmarks.bars import at_least, at_most
from benchmarks.faulting.worlds import LONGEST_S, Asked, differing, say, unfinished_runs
from tests.dagster_server import DagsterServer
from tests.small_configs import surroundings_of
from tests.tiny_project import TinyProject

DIRECTORS = ("nolan", "scorsese", "anderson", "villeneuve", "fincher")
STAGES = ("raw_stills", "still_decisions", "director", "stills")  # those upstream of the last
KILLED_AT = (1, 3)  # partitions made until then
PATIENCE_S = 1200.0


def measure(folder: Path, asked: Asked) -> dict[str, Any]:
    """See the module's words."""
    wanted_of = TinyProject.make(folder / "undisturbed", directors=DIRECTORS)
    outcome = wanted_of.start(*DIRECTORS, "--until", STAGES[-1]).end(LONGEST_S)
    if outcome.code:
        raise RuntimeError(f"the undisturbed run failed:\n{outcome.err}")
    wanted = _made(wanted_of)
    world = TinyProject.make(folder / "world", directors=DIRECTORS)
    server = _started(world)
    try:
        backfill = server.launch_backfill(STAGES, DIRECTORS)
        killed = []
        for made in KILLED_AT:
            _wait_until(lambda made=made: len(_partitions(world)) >= made, server)  # type: ignore[misc]
            killed.append({"made": sorted(_partitions(world)), "processes": _kill(server)})
            say(f"{killed[-1]}")
            server = _started(world)
        server.wait_for_backfill(backfill, PATIENCE_S)
        _wait_until(lambda: not unfinished_runs(world), server)
    finally:
        server.stop()
    made = _made(world)
    twice = {name: count for name, count in _times_made(world).items() if count > 1}
    return {
        "killed": killed,
        "runs": _runs(world),
        "made_twice": twice,
        "bars": [
            at_least("partitions made", len(_partitions(world)), len(DIRECTORS)),
            at_most("stages of partitions that differ from a run's", len(differing(wanted, made)), 0),
            at_most("stages of partitions made twice", len(twice), 0),
            at_least("times killed in the middle", sum(len(one["made"]) < len(DIRECTORS) for one in killed), 2),
            at_most("runs still called started", unfinished_runs(world), 0),
        ],
    }


def _started(world: TinyProject) -> DagsterServer:
    server = DagsterServer(world.folder, surroundings_of(world.folder))
    server.wait_until_ready(600)
    return server


def _made(world: TinyProject) -> Mapping[str, Any]:
    """Key and version by director and stage."""
    return {f"{director}/{stage}": made for director in DIRECTORS for stage, made in world.artifacts(director).items()}


def _partitions(world: TinyProject) -> set[str]:
    """Those of which the last stage is made."""
    return {director for director in DIRECTORS if STAGES[-1] in world.artifacts(director)}


def _kill(server: DagsterServer) -> int:
    """SIGKILL to every process of the server, runs among them; how many they were."""
    process = psutil.Process(server.pid)
    children = process.children(recursive=True)
    for one in (process, *children):
        with suppress(psutil.NoSuchProcess):
            one.kill()
    server.stop()
    psutil.wait_procs(children, timeout=10)
    return 1 + len(children)


def _wait_until(reached: Any, server: DagsterServer) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(server.log())
        time.sleep(0.05)


def _times_made(world: TinyProject) -> Counter[str]:
    """How often each stage of each partition was made, and not found."""
    times: Counter[str] = Counter()
    with world.instance() as instance:
        for stage in STAGES:
            for record in instance.fetch_materializations(dg.AssetKey(stage.split("/")), limit=1000).records:
                materialization = record.asset_materialization
                if materialization is not None and not materialization.metadata["reused"].value:
                    times[f"{materialization.partition}/{stage}"] += 1
    return times


def _runs(world: TinyProject) -> dict[str, int]:
    with world.instance() as instance:
        return dict(Counter(run.status.value for run in instance.get_runs()))
