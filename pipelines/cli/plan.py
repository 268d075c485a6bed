"""`director plan`: what a run would make, why, and what that would take, before it runs.

Belongs here: showing it.  What would run is `pipelines/plan.py`'s.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg
from rich.console import Console
from rich.table import Table

from pipelines.build import build_definitions
from pipelines.cli.choices import choose_directors, choose_recipes
from pipelines.cli.in_process import quiet_libraries
from pipelines.home import prepare_home
from pipelines.jobs import job_name
from pipelines.plan import Step, looks_at, plan_runs
from pipelines.surroundings import limit_threads, read_surroundings
from resources.configs import ConfigsResource


def plan_command(directors: Sequence[str], *, recipe: str | None, as_json: bool) -> int:
    """A row for each asset that would be made, and the sums."""
    quiet_libraries()
    surroundings = read_surroundings()
    limit_threads(surroundings)
    slugs, recipes = choose_directors(surroundings, directors), choose_recipes(surroundings, recipe)
    definitions = build_definitions(surroundings)
    keys = set[dg.AssetKey]()
    for one in recipes:
        keys |= definitions.resolve_job_def(job_name(one)).asset_layer.selected_asset_keys
    with prepare_home(surroundings) as instance:
        store, configs = surroundings.store(), ConfigsResource(folder=str(surroundings.catalog.folder))
        looks = looks_at(store, configs, surroundings.project.recipes)
        steps = plan_runs(definitions, instance, store, keys, slugs, looks)
    if as_json:
        print(json.dumps([asdict(step) for step in steps], indent=2))
    else:
        _show(steps)
    return 0


def _show(steps: Sequence[Step]) -> None:
    console = Console(width=None if Console().is_terminal else 200, highlight=False)
    table = Table("director", "asset", "state", "why", "seconds", "MB", "measured")
    for step in steps:
        found = step.figures
        numbers = (
            (f"{found.seconds:.1f}", f"{found.bytes / 1e6:.2f}", f"{found.measured} versions")
            if found is not None
            else ("–", "–", "no figure yet")
        )
        table.add_row(step.director or "all", step.asset, step.state, step.why, *numbers)
    if steps:
        console.print(table)
    sure = [step for step in steps if step.state != "may follow"]
    console.print(f"{len(sure)} would run: {_sum(sure)}; with what may follow, {len(steps)}: {_sum(steps)}.")
    console.print(
        "One after the other, by the medians of earlier versions in the store; cached items may be there already."
    )


def _sum(steps: Sequence[Step]) -> str:
    told = [step.figures for step in steps if step.figures is not None]
    unknown = len(steps) - len(told)
    hours, size = sum(one.seconds for one in told) / 3600, sum(one.bytes for one in told) / 1e9
    return f"{hours:.3f} h, {size:.3f} GB" + (f" and {unknown} with no figure yet" if unknown else "")
