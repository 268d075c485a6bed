"""Whether any config, however wrong, ends in a traceback: each is valid, or refused in words that a person can act on.

    python -m benchmarks.config_fuzz [--examples 3000] [--seed 0] [--json]

Hypothesis changes the shipped files of all kinds (values, keys, text, encoding); each is read with all the others as
every command does, and Dagster's definitions are made of what loads.  Exit code 1 where a bar is missed.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.bars import at_least, at_most, print_report
from benchmarks.hostile.configs import Changed, Loader, changed_files

MOST_SECONDS = 10.0  # of one file, with all others of the configs and the graph
MOST_SHOWN = 20


def measure(examples: int, start: int) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    faults: dict[str, dict[str, str]] = {}
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="director-configs-") as folder:
        loader = Loader(Path(folder))

        @seed(start)
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],  # nothing fails: faults are counted
            suppress_health_check=list(HealthCheck),
        )
        @given(changed_files())
        def look(changed: Changed) -> None:
            nonlocal slowest
            started = time.perf_counter()
            outcome = loader.outcome(changed)
            slowest = max(slowest, time.perf_counter() - started)
            counts[outcome.how if outcome.is_well else "fault"] += 1
            kinds[changed.kind] += 1
            if not outcome.is_well:
                what = f"{changed.kind}/{changed.slug}"
                faults.setdefault(f"{outcome.how}: {outcome.words[:80]}", {"file": what, "words": outcome.words[:800]})

        started = time.perf_counter()
        look()
        seconds = time.perf_counter() - started
    return {
        "files": sum(counts.values()),
        "seed": start,
        "seconds": round(seconds, 1),
        "outcomes": dict(counts),
        "kinds": dict(kinds),
        "faults": dict(list(faults.items())[:MOST_SHOWN]),
        "bars": [
            at_most("files that end otherwise than valid or refused in words", float(counts["fault"]), 0),
            at_least("files that are refused", float(counts["refused"]), examples / 4),
            at_least("files that are valid, of which the graph is made", float(counts["valid"]), examples / 20),
            at_most("slowest file, s", slowest, MOST_SECONDS),
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=3000, help="how many files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn by chance (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    return print_report(measure(options.examples, options.seed), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
