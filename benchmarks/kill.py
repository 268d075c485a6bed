"""Whether `director run` gets over kill -9 at any moment.

    python -m benchmarks.kill [--rounds 3] [--kills 4] [--seed 0] [--director nolan] [--json]

One undisturbed run says how long a run takes and what it makes.  Then, in each round, an empty store and Dagster home
see several runs that are killed at random moments of that time, and a last one that is left alone.  It must end well,
in the same keys and contents as the undisturbed run, with no earlier run still called started.  The moments are drawn
from the seed and reported.  Exit code 1 where a bar is missed.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.bars import at_least, at_most, print_report

ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}


class World:
    """An empty store and Dagster home, in the place of the world before."""

    def __init__(self, folder: Path, director: str):
        self.store, self.home, self.director = folder / "store", folder / "home", director
        for place in (self.store, self.home):  # a publication tells where it lies, so all worlds lie in one place
            shutil.rmtree(place, ignore_errors=True)
        places = {"DIRECTOR_STORE": self.store, "DAGSTER_HOME": self.home, "XDG_CACHE_HOME": folder / "models"}
        self._environment = os.environ | {name: str(place) for name, place in places.items()}
        self._environment.pop("DIRECTOR_CONFIGS", None)

    def run(self, kill_after_s: float | None = None) -> int | None:
        """Exit code of a run; None where it was killed."""
        with subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli.main", "run", self.director, "--json"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                _, said = process.communicate(timeout=kill_after_s)
            except subprocess.TimeoutExpired:
                process.kill()
                return None
        if process.returncode:
            print(said.decode(errors="replace"), file=sys.stderr)
        return process.returncode

    def artifacts(self) -> dict[str, Any]:
        """Key and version of what readers of each stage see."""
        found = self.store.glob(f"assets/**/{self.director}/latest.json")
        return {path.parent.relative_to(self.store).as_posix(): json.loads(path.read_text()) for path in found}

    def unfinished_runs(self) -> int:
        """Runs that Dagster still takes for running."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            return sum(run.status not in ENDED for run in instance.get_runs())


def kill_again_and_again(world: World, moments: list[float]) -> dict[str, Any]:
    """Kill runs of a world at these seconds after their start, then let one end."""
    killed = [moment for moment in moments if world.run(kill_after_s=moment) is None]
    return {
        "killed_after_s": [round(moment, 2) for moment in killed],
        "exit_code": world.run(),
        "unfinished_runs": world.unfinished_runs(),
    }


def differing(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Stages that differ in key or content, or are missing on one side."""
    return sorted(stage for stage in wanted.keys() | found.keys() if wanted.get(stage) != found.get(stage))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--director", default="nolan")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="director-bench-") as folder:
        undisturbed = World(Path(folder), options.director)
        started = time.monotonic()
        undisturbed.run()
        seconds, wanted = time.monotonic() - started, undisturbed.artifacts()
        rounds = []
        for _ in range(options.rounds):
            world = World(Path(folder), options.director)
            moments = [rng.uniform(0, seconds) for _ in range(options.kills)]
            rounds.append(kill_again_and_again(world, moments))
            rounds[-1]["differing"] = differing(wanted, world.artifacts())
    report = {
        "undisturbed_s": round(seconds, 1),
        "rounds": rounds,
        "kills": sum(len(one["killed_after_s"]) for one in rounds),
        "bars": [
            at_least("rounds that ended well", sum(one["exit_code"] == 0 for one in rounds), len(rounds)),
            at_least("rounds that made the same", sum(not one["differing"] for one in rounds), len(rounds)),
            at_most("runs still called started", sum(one["unfinished_runs"] for one in rounds), 0),
        ],
    }
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
