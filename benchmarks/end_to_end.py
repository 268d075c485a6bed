"""One demo director from nothing to a model card, and the same again: time, memory, time per stage.

    python -m benchmarks.end_to_end [--json] [--director nolan]

Everything is fresh: store, Dagster home and model cache; the models are those shipped in models/mini.  Limits are those
of 2 cores without a GPU.  Exit code 1 where a bar is missed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.bars import at_most, print_report

FIRST_S, SECOND_S, PEAK_GIB, LOAD_S = 180.0, 8.0, 3.0, 2.5


def run_director(director: str, environment: dict[str, str]) -> tuple[float, list[dict[str, Any]]]:
    """Wall seconds of `director run`, imports included, and its table."""
    command = [sys.executable, "-m", "pipelines.cli.main", "run", director, "--json"]
    started = time.monotonic()
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return time.monotonic() - started, json.loads(result.stdout)


def load_definitions(environment: dict[str, str]) -> float:
    """Wall seconds of a fresh interpreter that imports the definitions: the best of three."""
    command = [sys.executable, "-c", "import pipelines.definitions"]
    times = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        times.append(time.monotonic() - started)
    return min(times)


def seconds_by_stage(store: Path) -> dict[str, float]:
    """Seconds that each stage took when it was made, as its manifest says."""
    manifests = [json.loads(path.read_text()) for path in store.glob("assets/**/artifact.json")]
    return {"/".join(manifest["asset"]): manifest["seconds"] for manifest in manifests}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--director", default="nolan")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="director-bench-") as folder:
        places = {"DIRECTOR_STORE": "store", "DAGSTER_HOME": "home", "XDG_CACHE_HOME": "cache"}
        environment = os.environ | {name: str(Path(folder) / place) for name, place in places.items()}
        environment.pop("DIRECTOR_CONFIGS", None)
        load = load_definitions(environment)
        first, rows = run_director(options.director, environment)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # KiB to GiB
        second, again = run_director(options.director, environment)
        stages = seconds_by_stage(Path(folder) / "store")
    report = {
        "director": options.director,
        "stages_s": stages,
        "reused_in_second_run": again[0]["reused"],
        "verdict": rows[0]["verdict"],
        "bars": [
            at_most("definitions load, s", load, LOAD_S),
            at_most("one director, from nothing, s", first, FIRST_S),
            at_most("the same again, s", second, SECOND_S),
            at_most("peak memory, GiB", peak, PEAK_GIB),
        ],
    }
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
