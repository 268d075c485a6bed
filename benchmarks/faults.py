"""Whether all that is made is made well on the worst of days: every fault of `benchmarks.faulting`, and a table.

    python -m benchmarks.faults [--only NAME ...] [--kills 200] [--writes 0] [--disks 10] [--seed 0] [--folder F]
                                [--json]

    kills      SIGKILL at random moments of every stage
    disks      full or read-only from any write on
    small      real disks, full or read-only at random moments
    buckets    S3 that fails one request in five
    databases  Postgres restarted in the middle of runs
    daemons    webserver and daemon killed in the middle of a backfill
    pairs      two runs of the same director at once
    hostile    hostile images among the stills (`benchmarks.hostile_images`)
    configs    spoiled files of configs (`benchmarks.config_fuzz`)

Projects are small (a few stills and steps of the shipped mini base); runs are real processes that come from a fork
server which has imported the libraries.  Moments are drawn from the seed.  How far it is, and what is found, goes to
stderr.  Exit code 1 where a bar is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.bars import at_most, print_report
from benchmarks.faulting import buckets, daemons, databases, disks, kills, pairs, small_disks
from benchmarks.faulting.worlds import Asked, say

Fault = Callable[[Path, Asked], dict[str, Any]]


def of_its_own(name: str) -> Fault:
    """A benchmark of its own, as it tells of itself."""

    def fault(folder: Path, asked: Asked) -> dict[str, Any]:
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", "--seed", str(asked.seed)]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(folder)})
        return dict(json.loads(ran.stdout))

    return fault


FAULTS: dict[str, Fault] = {
    "kills": kills.measure,
    "disks": disks.measure,
    "small": small_disks.measure,
    "buckets": buckets.measure,
    "databases": databases.measure,
    "daemons": daemons.measure,
    "pairs": pairs.measure,
    "hostile": of_its_own("hostile_images"),
    "configs": of_its_own("config_fuzz"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=FAULTS, nargs="+", metavar="NAME", help=", ".join(FAULTS))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--writes", type=int, default=0, help="sorts of writes that fail, drawn by chance; 0: all")
    parser.add_argument("--disks", type=int, default=10, help="times that a real disk is full, and read-only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where worlds lie (default: among temporary files)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    asked = Asked(kills=options.kills, writes=options.writes, disks=options.disks, seed=options.seed)
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"bars": []}
    with tempfile.TemporaryDirectory(prefix="director-bench-", dir=options.folder) as folder:
        for name in options.only or FAULTS:
            say(f"--- {name}")
            report[name] = one = _measured(FAULTS[name], Path(folder) / name, asked)
            report["bars"] += [{**bar, "name": f"{name}: {bar['name']}"} for bar in one.pop("bars")]
    return print_report(report, as_json=options.json)


def _measured(fault: Fault, folder: Path, asked: Asked) -> dict[str, Any]:
    """What is measured; of what ended in an error, the error, so that the others are measured too."""
    folder.mkdir()
    began = time.monotonic()
    try:
        found = fault(folder, asked)
    except Exception:  # noqa: BLE001  # told, and a bar is missed
        say(traceback.format_exc())
        found = {"error": traceback.format_exc(), "bars": [at_most("errors of the benchmark itself", 1, 0)]}
    return {"seconds": round(time.monotonic() - began, 1), **found}


if __name__ == "__main__":
    sys.exit(main())
