"""What grows with directors and recipes, and how fast.

    python -m benchmarks.growth [--sizes 10x1 100x1 1000x1 10x6 100x6 1000x6] [--again SIZE ...] [--prompts N]
        [--folder FOLDER] [--json]

For each size (directors x recipes) it generates configs of the demo's own, and measures:

- a fresh interpreter that imports the definitions: seconds (the best of three), CPU seconds, those of the project
  alone, peak memory;
- the UI's server over a Dagster home in which everything has been materialized: seconds of what the UI asks for the
  lineage page (its structure, and what is live of every asset), for staleness, and for an asset's partitions; memory of
  server and code server;
- a backfill of all directors and stages: seconds until it is launched, and until its runs are planned;
- for the sizes of `--again` (default: those with one recipe): a director of whom all is made, run again, and the same
  graph with empty bodies, by turns in one process: the median of the turns' ratios.  The first of these sizes makes it
  for real: minutes.

An exponent k says that a cost grows as directors (or recipes) to the k, from the smallest to the largest size; costs
that do not depend on them make it small.  A quick try: `--sizes 3x1 6x1 --prompts 4`.

Exit code 1 where a bar is missed.
"""

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bars import at_most, print_report
from benchmarks.growing.configs import director_name, write_configs
from benchmarks.growing.history import fill_history
from benchmarks.growing.loading import loading
from benchmarks.growing.pages import pages
from benchmarks.growing.planning import planning
from benchmarks.growing.reused import reused
from pipelines.build import build_definitions
from pipelines.home import prepare_home
from pipelines.surroundings import CHECKOUT, read_surroundings

SIZES = ("10x1", "100x1", "1000x1", "10x6", "100x6", "1000x6")
LOAD_S, OVER_EMPTY = 2.5, 1.3
Size = tuple[int, int]


def measure(sizes: Sequence[Size], again: Sequence[Size], prompts: int | None, folder: Path) -> dict[str, Any]:
    found = {}
    for directors, recipes in sizes:
        place = folder / f"{directors}x{recipes}"
        environment = _environment(folder, place, write_configs(place, directors, recipes, prompts))
        slugs = [director_name(number) for number in range(directors)]
        told = loading(environment)
        if (directors, recipes) in again:
            told |= reused(environment, slugs)
        environment["DAGSTER_HOME"] = str(place / "full_home")
        surroundings = read_surroundings(environment)
        with prepare_home(surroundings) as instance:
            told["events"] = fill_history(build_definitions(surroundings), instance, surroundings.dagster_home, slugs)
        told |= pages(environment, place / "server.log", slugs) | planning(environment)
        found[directors, recipes] = told
        print(f"{directors} x {recipes}: {told}", file=sys.stderr, flush=True)
    largest = max(sizes)
    ratios = [(size, found[size]["again_over_empty"]) for size in again]
    return {
        "sizes": {f"{n}x{r}": _rounded(told) for (n, r), told in found.items()},
        "exponents": {
            "directors": _exponents(found, [size for size in sorted(found) if size[1] == largest[1]], 0),
            "recipes": _exponents(found, [size for size in sorted(found) if size[0] == largest[0]], 1),
        },
        "bars": [
            at_most(f"{n} directors, {r} recipes: definitions load, s", told["load_s"], LOAD_S)
            for (n, r), told in found.items()
            if (n, r) == largest
        ]
        + [
            at_most(f"{n} directors, {r} recipes: run again / empty bodies", ratio, OVER_EMPTY)
            for (n, r), ratio in ratios
        ],
    }


def _environment(folder: Path, place: Path, configs: Path) -> dict[str, str]:
    """One store for all sizes, since the director who is run again is the same; a Dagster home of each."""
    chosen = {
        "DIRECTOR_CONFIGS": configs,
        "DIRECTOR_STORE": folder / "store",
        "DAGSTER_HOME": place / "home",
        "XDG_CACHE_HOME": folder / "cache",
        "PYTHONPATH": CHECKOUT,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DIRECTOR_", "DAGSTER_"))}
    return kept | {name: str(value) for name, value in chosen.items()}


def _exponents(found: Mapping[Size, Mapping[str, float]], along: Sequence[Size], axis: int) -> dict[str, float]:
    """Of every cost that both the smallest and the largest of these sizes have."""
    if len(along) < 2:
        return {}
    first, last = along[0], along[-1]
    times = math.log(last[axis] / first[axis])
    both = {name: (value, found[last].get(name)) for name, value in found[first].items()}
    return {name: round(math.log(b / a) / times, 2) for name, (a, b) in both.items() if a and b and name != "events"}


def _rounded(told: Mapping[str, float]) -> dict[str, float]:
    return {name: value if isinstance(value, int) else float(f"{value:.3g}") for name, value in told.items()}


def _size(text: str) -> Size:
    directors, _, recipes = text.partition("x")
    return int(directors), int(recipes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=_size, default=[_size(text) for text in SIZES], metavar="NxR")
    parser.add_argument("--again", nargs="*", type=_size, metavar="NxR", help="sizes at which a director is run again")
    parser.add_argument("--prompts", type=int, help="keep that many of the plan's prompts (default: all)")
    parser.add_argument("--folder", help="where it happens (default: the system's temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    again = [size for size in options.sizes if size[1] == 1] if options.again is None else options.again
    with tempfile.TemporaryDirectory(prefix="director-bench-", dir=options.folder) as folder:
        report = measure(options.sizes, again, options.prompts, Path(folder))
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
