"""`director joint`: one adapter of all directors, and how it does for each, on the instance that the UI reads.

Belongs here: the order of its runs, and what they come to.  What each director has of its own is `run`'s.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import dagster as dg
from rich.console import Console
from rich.markdown import Markdown

from assets_defs.joint import JOINT, JOINT_OVERVIEW
from assets_defs.training import JOINT_ADAPTER
from director_diffusion.errors import SpecError
from director_diffusion.storage.artifact import latest_artifact
from pipelines.build import build_definitions
from pipelines.cli.choices import choose_directors, choose_gpus, choose_recipes
from pipelines.cli.in_process import errors_of, quiet_libraries, rank, run_job, sweep_and_tell
from pipelines.cli.screen import Screen, ScreenProgress, Terminal
from pipelines.cli.signals import take_sigterm_as_ctrl_c
from pipelines.cli.workers import Died, in_turn, in_workers
from pipelines.home import prepare_home
from pipelines.jobs import joint_name
from pipelines.surroundings import Surroundings, limit_threads, read_surroundings
from pipelines.sweep import sweep_dead_runs

Asked = tuple[str, str]  # recipe and director
JUDGED = (f"{JOINT}samples", f"{JOINT}evaluation")


def joint_command(recipe: str | None, *, gpus: int | None, as_json: bool) -> int:
    """Train, judge and print; steps that can share their work do so on up to `gpus`.

    0 where every stage ran and every blocking check passed, whatever the verdicts say.

    Raises SpecError where no recipe asks for it, KeyboardInterrupt where a run was ended from outside.
    """
    quiet_libraries()
    take_sigterm_as_ctrl_c()
    surroundings = read_surroundings()
    limit_threads(surroundings)
    recipes = _recipes(surroundings, recipe)
    slugs = choose_directors(surroundings, [])
    count = min(len(slugs), surroundings.deployment.directors_at_once)
    tags = choose_gpus(surroundings, gpus)
    judging = partial(_judging, tags)
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
    terminal = Terminal(console)
    errors: list[str] = []
    with prepare_home(surroundings) as instance, terminal.bars:
        sweep_and_tell(instance, console)
        definitions = build_definitions(surroundings, {"progress": ScreenProgress(terminal)})

        def of_all(name: str, slug: str) -> bool:
            result = run_job(definitions, instance, joint_name(slug), [dg.AssetKey([slug, name])], tags=tags)
            errors.extend(errors_of(result))
            return result.success

        trained = [slug for slug in recipes if of_all(JOINT_ADAPTER, slug)]
        with in_workers(judging, count, terminal) if count > 1 else in_turn(judging, terminal) as run_all:
            asked = [(one, slug) for one in trained for slug in slugs]
            for (_, slug), answer in zip(asked, run_all(asked), strict=True):
                told = (answer.words,) if isinstance(answer, Died) else answer
                errors.extend(f"{slug}: {error}" for error in told)
            sweep_and_tell(instance, console)
        shown = [slug for slug in trained if of_all(JOINT_OVERVIEW, slug)]
        errors += rank(definitions, instance)
    _print(surroundings, shown, as_json=as_json)
    for error in errors:
        console.print(error, style="red", markup=False, highlight=False, soft_wrap=True)
    return 1 if errors else 0


@contextmanager
def _judging(tags: Mapping[str, str], screen: Screen) -> Iterator[Callable[[Asked], tuple[str, ...]]]:
    """What judges the adapter for one director in this process, and tells what went wrong."""
    surroundings = read_surroundings()
    definitions = build_definitions(surroundings, {"progress": ScreenProgress(screen)})

    def judge(asked: Asked) -> tuple[str, ...]:
        recipe, director = asked
        if surroundings.deployment.gpus:
            sweep_dead_runs(instance)  # as `run` does
        keys = [dg.AssetKey([recipe, name]) for name in JUDGED]
        return errors_of(run_job(definitions, instance, joint_name(recipe), keys, partition=director, tags=tags))

    with prepare_home(surroundings) as instance:
        yield judge


def _recipes(surroundings: Surroundings, wanted: str | None) -> list[str]:
    chosen = choose_recipes(surroundings, wanted)
    asking = [slug for slug in chosen if surroundings.catalog.recipes[slug].joint is not None]
    if not asking:
        raise SpecError(
            ", ".join(chosen),
            "asks for no adapter of all directors",
            "Add `joint: {}` to the recipe's file; `joint: {steps: N}` trains it longer than a director's own.",
        )
    return asking


def _print(surroundings: Surroundings, recipes: Sequence[str], *, as_json: bool) -> None:
    """What the overviews say, and where the adapters lie."""
    from director_diffusion.evaluation.overview import FILE, overview_from, table_of_overview
    from director_diffusion.training.rows import WEIGHTS

    store, console = surroundings.store(), Console(width=None if Console().is_terminal else 160)
    found = {slug: latest_artifact(store, (slug, JOINT_OVERVIEW), None).json(FILE) for slug in recipes}
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    for slug, data in found.items():
        console.print(Markdown(f"**{slug}, one adapter of all**\n\n{table_of_overview(overview_from(data))}"))
        adapter = latest_artifact(store, (slug, JOINT_ADAPTER), None)
        console.print(store.full(f"{adapter.folder}/{WEIGHTS}"), highlight=False, soft_wrap=True)
