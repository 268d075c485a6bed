"""Reused: a director of whom all is made already, run again; and the same graph with empty bodies.

Run as a module it runs both in turn, for the project of its surroundings, and prints what they took.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from operator import truediv
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

import dagster as dg

from assets_defs.freshness import freshness_checks
from assets_defs.lineage import directors_partitions, lineage
from benchmarks.growing.configs import director_name
from benchmarks.growing.empty import emptied
from director_diffusion.progress import Silent
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import latest_artifact, set_latest, write_artifact
from pipelines.build import build_definitions
from pipelines.cli.in_process import count_reused, quiet_libraries, run_job
from pipelines.home import prepare_home
from pipelines.jobs import job_name, project_jobs
from pipelines.surroundings import limit_threads, read_surroundings

STILLS = 72  # as the demo draws
ROUNDS, KEPT = 12, 1  # the first run of each turn reads what the other wrote, and is left out


def reused(environment: Mapping[str, str], directors: Sequence[str]) -> dict[str, Any]:
    """Make all of the first director for real, then run it again and again in a process of its own."""
    _prepare(environment, directors)
    command = [sys.executable, "-m", "benchmarks.growing.reused"]
    result = subprocess.run(command, env=dict(environment), check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(result.stdout.splitlines()[-1]))


def _prepare(environment: Mapping[str, str], directors: Sequence[str]) -> None:
    """The other directors have a reference set: an evaluation reads all of them.  Theirs is the first one's."""
    from director_diffusion.scenes.placeholders import fill_placeholder_stills
    from director_diffusion.specs.projects import PlaceholderStills

    store, first = Store(environment["DIRECTOR_STORE"]), directors[0]
    fill_placeholder_stills(store, [first], PlaceholderStills(per_director=STILLS, captioned_share=0), Silent())
    _run(environment, first, "--until", "reference_set")
    made = latest_artifact(store, ("reference_set",), first)
    for other in directors[1:]:
        manifest = made.manifest.model_copy(update={"partition": other})
        set_latest(write_artifact(store, Path(store.full(made.folder)), manifest))
    _run(environment, first)


def _run(environment: Mapping[str, str], director: str, *more: str) -> None:
    command = [sys.executable, "-m", "pipelines.cli.main", "run", director, "--json", *more]
    result = subprocess.run(command, env=dict(environment), capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr[-2000:]}")


def measure() -> dict[str, Any]:
    """Wall and CPU seconds of a director, all recipes, imports and first runs left out.

    Of each way the median of rounds, and of the rounds' ratios the median and the quartiles: a machine's speed changes
    from one minute to the next.
    """
    quiet_libraries()
    surroundings = read_surroundings()
    limit_threads(surroundings)
    catalog, project = surroundings.catalog, surroundings.project
    real = build_definitions(surroundings)
    jobs = project_jobs(project, catalog.project_recipes(project), catalog.project_bases_trained_here(project))
    recipes, partitions = catalog.project_recipes(project), directors_partitions(catalog, project)
    checks = freshness_checks(partitions, recipes, surroundings.deployment.evaluated_within_days)
    empty = emptied(list(lineage(catalog, project)), list(jobs), checks)
    wall: dict[str, list[float]] = {"real": [], "empty": []}  # a round's mean
    cpu: dict[str, list[float]] = {"real": [], "empty": []}
    with prepare_home(surroundings) as instance:
        for _ in range(ROUNDS):
            for name, definitions in (("real", real), ("empty", empty)):
                times = [
                    _once(definitions, instance, project.recipes, must_reuse=name == "real") for _ in range(1 + KEPT)
                ]
                wall[name].append(fmean(seconds for seconds, _ in times[1:]))
                cpu[name].append(fmean(seconds for _, seconds in times[1:]))
    low, middle, high = quantiles(map(truediv, wall["real"], wall["empty"]), n=4)
    return {
        "again_s": median(wall["real"]),
        "again_cpu_s": median(cpu["real"]),
        "empty_s": median(wall["empty"]),
        "empty_cpu_s": median(cpu["empty"]),
        "again_over_empty": middle,
        "again_over_empty_low": low,
        "again_over_empty_high": high,
        "again_over_empty_cpu": median(map(truediv, cpu["real"], cpu["empty"])),
    }


def _once(
    definitions: dg.Definitions, instance: dg.DagsterInstance, recipes: Sequence[str], *, must_reuse: bool
) -> tuple[float, float]:
    started, cpu = time.monotonic(), time.process_time()
    for recipe in recipes:
        job = job_name(recipe)
        keys = sorted(definitions.resolve_job_def(job).asset_layer.selected_asset_keys)
        result = run_job(definitions, instance, job, keys, partition=director_name(0))
        reused = count_reused(result) if must_reuse else len(keys)
        if not result.success or (must_reuse and reused != len(keys)):
            failed = [event.step_key for event in result.all_events if event.is_step_failure]
            raise RuntimeError(f"{job} did not run again from what there is: {reused} of {len(keys)}, failed: {failed}")
    return time.monotonic() - started, time.process_time() - cpu


if __name__ == "__main__":
    print(json.dumps(measure()))
