"""`director run`: the graph for some directors, on the instance that the UI reads.

Belongs here: choosing what to run and running it.  The table is `report`'s, processes are `workers`', bars `screen`'s.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import dagster as dg
from rich.console import Console

from assets_defs.reference_set import REFERENCE_SET
from director_diffusion.errors import SpecError
from director_diffusion.specs.executors import CLUSTERS
from pipelines.build import build_definitions
from pipelines.cli.choices import choose_directors, choose_gpus, choose_recipes
from pipelines.cli.in_process import (
    count_reused,
    errors_of,
    quiet_libraries,
    rank,
    run_job,
    sweep_and_tell,
)
from pipelines.cli.report import Row, print_table, rows_as_json, summarize
from pipelines.cli.screen import Screen, ScreenProgress, Terminal
from pipelines.cli.signals import take_sigterm_as_ctrl_c
from pipelines.cli.workers import Died, in_turn, in_workers
from pipelines.home import prepare_home, prepare_store
from pipelines.jobs import job_name
from pipelines.surroundings import Surroundings, limit_threads, read_surroundings
from pipelines.sweep import sweep_dead_runs

HERE = (
    "Steps run here, in this process: those of {executor} are sent from runs that Dagster launches (UI, backfill, "
    "schedule)."
)


def run_command(
    directors: Sequence[str],
    *,
    recipe: str | None,
    until: str | None,
    at_once: int | None,
    gpus: int | None,
    as_json: bool,
) -> int:
    """Run and print.  0 where every stage ran and every blocking check passed, whatever the verdicts say.

    `at_once` directors are run side by side; None: as the deployment says.  Steps that can share their work do so on
    up to `gpus`.  Raises KeyboardInterrupt where a run was
    ended from outside: no other is begun.
    """
    quiet_libraries()
    take_sigterm_as_ctrl_c()
    surroundings = read_surroundings()
    limit_threads(surroundings)
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
    slugs = choose_directors(surroundings, directors)
    recipes = choose_recipes(surroundings, recipe)
    count = _at_once(surroundings, at_once, len(slugs))
    tags = choose_gpus(surroundings, gpus)
    terminal = Terminal(console)
    if surroundings.deployment.executor in CLUSTERS:
        console.print(HERE.format(executor=surroundings.deployment.executor), highlight=False, soft_wrap=True)
    definitions = build_definitions(surroundings)
    ways = _ways(definitions, recipes, until)

    with prepare_home(surroundings) as instance, terminal.bars:
        prepare_store(surroundings, lambda: ScreenProgress(terminal).plain("placeholder stills"))
        sweep_and_tell(instance, console)
        begin = partial(_runs, recipes, until, tags)
        with in_workers(begin, count, terminal) if count > 1 else in_turn(begin, terminal) as run_all:
            if len(slugs) > 1 and any(dg.AssetKey([REFERENCE_SET]) in way for way in ways.values()):
                run_all([_Asked(slug, references=True) for slug in slugs])
            rows = []
            for answer in run_all([_Asked(slug) for slug in slugs]):
                rows += _lost(surroundings, recipes, answer) if isinstance(answer, Died) else answer
            sweep_and_tell(instance, console)  # of processes that died on the way
        unranked = () if until is not None else rank(definitions, instance)
    if as_json:
        sys.stdout.write(rows_as_json(rows) + "\n")
    else:
        print_table(rows)
    errors = [*(f"{row.director}: {error}" for row in rows for error in row.errors), *unranked]
    for error in errors:
        console.print(error, style="red", markup=False, highlight=False, soft_wrap=True)
    return 1 if errors else 0


@dataclass(frozen=True)
class _Asked:
    """All recipes of a director; or, first of all, only what directors are told from each other by, so that the first
    is judged as the last is.  What fails there fails again in the director's own run, and is told then."""

    director: str
    references: bool = False


@contextmanager
def _runs(
    recipes: Sequence[str], until: str | None, tags: Mapping[str, str], screen: Screen
) -> Iterator[Callable[[_Asked], list[Row]]]:
    """What runs a director in this process."""
    surroundings = read_surroundings()
    definitions = build_definitions(surroundings, {"progress": ScreenProgress(screen)})
    ways = _ways(definitions, recipes, until)

    def run(asked: _Asked) -> list[Row]:
        if surroundings.deployment.gpus:
            sweep_dead_runs(instance)  # of a worker that was killed: its slot of the pool would be lost until the end
        if asked.references:
            upstream = _upstream(definitions, [dg.AssetKey([REFERENCE_SET])])
            run_job(definitions, instance, job_name(recipes[0]), upstream, partition=asked.director)
            return []
        rows = []
        for recipe in recipes:
            started = time.monotonic()
            result = run_job(definitions, instance, job_name(recipe), ways[recipe], partition=asked.director, tags=tags)
            rows.append(
                summarize(
                    surroundings,
                    asked.director,
                    recipe,
                    reused=count_reused(result),
                    seconds=round(time.monotonic() - started, 1),
                    errors=errors_of(result),
                )
            )
        return rows

    with prepare_home(surroundings) as instance:
        yield run


def _at_once(surroundings: Surroundings, asked: int | None, directors: int) -> int:
    """Raises SpecError where one of them would always wait for a GPU."""
    gpus = surroundings.deployment.gpus
    if gpus and asked is not None and asked > gpus:
        raise SpecError(
            f"--at-once {asked}",
            f"is more than the GPUs of deployment {surroundings.deployment.slug}: {gpus}",
            f"Give {gpus} or fewer.",
        )
    return min(directors, asked or surroundings.deployment.directors_at_once)


def _lost(surroundings: Surroundings, recipes: Sequence[str], died: Died[_Asked]) -> list[Row]:
    """Rows of a director whose process ended in the middle."""
    slug, errors = died.item.director, (died.words,)
    return [summarize(surroundings, slug, recipe, reused=0, seconds=0.0, errors=errors) for recipe in recipes]


def _ways(definitions: dg.Definitions, recipes: Sequence[str], until: str | None) -> dict[str, list[dg.AssetKey]]:
    """By recipe, what is to be run.  Raises SpecError for a stage that a recipe does not have."""
    return {recipe: _selection(definitions, recipe, until) for recipe in recipes}


def _upstream(definitions: dg.Definitions, keys: Sequence[dg.AssetKey]) -> list[dg.AssetKey]:
    return sorted(dg.AssetSelection.assets(*keys).upstream().resolve(definitions.resolve_asset_graph()))


def _selection(definitions: dg.Definitions, recipe: str, until: str | None) -> list[dg.AssetKey]:
    """The assets of a recipe's job, as far as the stage `until`."""
    keys = sorted(definitions.resolve_job_def(job_name(recipe)).asset_layer.selected_asset_keys)
    if until is None:
        return keys
    ends = [key for key in keys if key.path[-1] == until]
    if not ends:
        stages = ", ".join(dict.fromkeys(key.path[-1] for key in keys))
        raise SpecError(until, "is no stage", f"Choose of {stages}.")
    return _upstream(definitions, ends)
