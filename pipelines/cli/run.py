"""`director run`: the graph for some directors, in this process, on the instance that the UI reads.

Belongs here: choosing what to run and running it.  The table is `report`'s, the bars are `bars`'.
"""

import sys
import time
from collections.abc import Mapping, Sequence

import dagster as dg
from rich.console import Console

from assets_defs.reference_set import REFERENCE_SET
from director_diffusion.errors import SpecError
from pipelines.build import build_definitions
from pipelines.cli.bars import TerminalProgress
from pipelines.cli.choices import choose_directors, choose_recipes
from pipelines.cli.in_process import (
    count_reused,
    errors_of,
    quiet_libraries,
    run_job,
    sweep_and_tell,
    take_sigterm_as_ctrl_c,
)
from pipelines.cli.report import Row, print_table, rows_as_json, summarize
from pipelines.home import prepare_home, prepare_store
from pipelines.jobs import job_name
from pipelines.surroundings import Surroundings, limit_threads, read_surroundings


def run_command(directors: Sequence[str], *, recipe: str | None, until: str | None, as_json: bool) -> int:
    """Run and print.  0 where every stage ran and every blocking check passed, whatever the verdicts say.

    Raises KeyboardInterrupt where a run was ended from outside: no other is begun.
    """
    quiet_libraries()
    take_sigterm_as_ctrl_c()
    surroundings = read_surroundings()
    limit_threads(surroundings)
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
    slugs = choose_directors(surroundings, directors)
    recipes = choose_recipes(surroundings, recipe)
    terminal = TerminalProgress(console)
    definitions = build_definitions(surroundings, {"progress": terminal})
    selections = {name: _selection(definitions, name, until) for name in recipes}

    rows = []
    with prepare_home(surroundings) as instance, terminal.bars:
        prepare_store(surroundings, lambda: terminal.plain("placeholder stills"))
        sweep_and_tell(instance, console)
        _references_first(definitions, instance, slugs, selections)
        for slug in slugs:
            for name in recipes:
                rows.append(_run_one(surroundings, definitions, instance, slug, name, selections[name]))
    if as_json:
        sys.stdout.write(rows_as_json(rows) + "\n")
    else:
        print_table(rows)
    for row in rows:
        for error in row.errors:
            console.print(f"{row.director}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    return 1 if any(row.errors for row in rows) else 0


def _run_one(
    surroundings: Surroundings,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    slug: str,
    recipe: str,
    selection: Sequence[dg.AssetKey],
) -> Row:
    started = time.monotonic()
    result = run_job(definitions, instance, job_name(recipe), selection, partition=slug)
    return summarize(
        surroundings,
        slug,
        recipe,
        reused=count_reused(result),
        seconds=round(time.monotonic() - started, 1),
        errors=errors_of(result),
    )


def _references_first(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    slugs: Sequence[str],
    selections: Mapping[str, Sequence[dg.AssetKey]],
) -> None:
    """Of several directors, first what they are told from each other by, so that the first is judged as the last is.

    What fails here fails again in the director's own run, and is told there.
    """
    key = dg.AssetKey([REFERENCE_SET])
    if len(slugs) == 1 or not any(key in selection for selection in selections.values()):
        return
    recipe = next(iter(selections))
    upstream = _upstream(definitions, [key])
    for slug in slugs:
        run_job(definitions, instance, job_name(recipe), upstream, partition=slug)


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
