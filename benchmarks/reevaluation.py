"""The weekly re-evaluation of all demo directors: how long it takes, and that it trains nothing.

    python -m benchmarks.reevaluation [--folder FOLDER] [--json]

Makes the demo first where `FOLDER` does not hold it yet.  Then asks the schedule for its runs, and runs each in a
process of its own, two at a time, as the daemon's runs on two cores.  Exit code 1 where a bar is missed.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg

from benchmarks.bars import at_least, at_most, print_report
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import latest_artifact
from pipelines.build import build_definitions
from pipelines.home import prepare_home
from pipelines.surroundings import limit_threads, read_surroundings

ROOT = Path(__file__).resolve().parent.parent
RECIPE, PROCESSES, MOST_S = "mini_lora", 2, 180.0
WHEN = datetime.datetime(2026, 11, 23, 6, tzinfo=datetime.UTC)


def surroundings_of(folder: Path) -> dict[str, str]:
    places = {"DIRECTOR_STORE": "store", "DAGSTER_HOME": "home", "XDG_CACHE_HOME": "cache"}
    found = {name: str(folder / place) for name, place in places.items()}
    return {**found, "DIRECTOR_PROJECT": "demo", "DIRECTOR_CONFIGS": str(ROOT / "configs")}


def asked(folder: Path) -> dict[str, dict[str, str]]:
    """Tags of the runs that the schedule asks for, by director."""
    surroundings = read_surroundings(surroundings_of(folder))
    definitions = build_definitions(surroundings)
    schedule = definitions.resolve_schedule_def(f"weekly_reevaluate_{RECIPE}")
    with prepare_home(surroundings) as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=WHEN, repository_def=definitions.get_repository_def()
        )
        requests = schedule.evaluate_tick(context).run_requests or []
    return {str(request.partition_key): dict(request.tags) for request in requests}


def run_one(director: str, tags: Mapping[str, str]) -> int:
    """One run, in this process, whose environment says where."""
    surroundings = read_surroundings()
    limit_threads(surroundings)
    definitions = build_definitions(surroundings)
    with prepare_home(surroundings) as instance:
        job = definitions.resolve_job_def(f"reevaluate_{RECIPE}")
        result = job.execute_in_process(
            instance=instance, partition_key=director, tags=dict(tags), raise_on_error=False
        )
    return 0 if result.success else 1


def adapters(folder: Path) -> dict[str, str]:
    """Keys and whole folders of what training made."""
    store = Store(str(folder / "store"))
    return {name: str(size) for name, size in store.sizes(f"assets/{RECIPE}/adapter").items()}


def verdicts(folder: Path, directors: list[str]) -> dict[str, str]:
    store = Store(str(folder / "store"))
    return {
        slug: latest_artifact(store, (RECIPE, "evaluation"), slug).json("verdict.json")["outcome"] for slug in directors
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keeps the demo, for another call")
    parser.add_argument("--one", nargs=2, metavar=("DIRECTOR", "TAGS"), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.one is not None:
        return run_one(options.one[0], json.loads(options.one[1]))
    with tempfile.TemporaryDirectory(prefix="director-bench-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        environment = os.environ | surroundings_of(folder)
        made = [sys.executable, "-m", "pipelines.cli.main", "run", "--json"]
        subprocess.run(made, env=environment, check=True, stdout=sys.stderr)
        requests, before = asked(folder), adapters(folder)
        earlier = verdicts(folder, list(requests))

        def launch(director: str) -> int:
            words = ["--one", director, json.dumps(requests[director])]
            return subprocess.run(
                [sys.executable, "-m", "benchmarks.reevaluation", *words],
                env=environment,
                stdout=sys.stderr,
                check=False,
            ).returncode

        started = time.monotonic()
        with ThreadPoolExecutor(PROCESSES) as pool:
            codes = list(pool.map(launch, requests))
        seconds = time.monotonic() - started
        report = {
            "directors": len(requests),
            "verdicts": verdicts(folder, list(requests)),
            "verdicts before": earlier,
            "bars": [
                at_least("directors re-evaluated without error", sum(code == 0 for code in codes), len(requests)),
                at_most("seconds, all of them", seconds, MOST_S),
                at_most("files of adapters written", len(set(adapters(folder).items()) ^ set(before.items())), 0),
            ],
        }
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
