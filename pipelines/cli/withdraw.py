"""`director withdraw`: a still, and all that was made of it, leaves the store and Dagster's records.

Belongs here: asking and showing.  What goes is `director_diffusion.withdrawal`'s, of Dagster's records `history`'s.
"""

import getpass
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from director_diffusion.errors import SpecError
from director_diffusion.withdrawal.plan import Withdrawal
from director_diffusion.withdrawal.withdraw import pending, plan_withdrawal, withdraw
from pipelines.cli.in_process import sweep_and_tell
from pipelines.history import records_of
from pipelines.home import prepare_home
from pipelines.surroundings import Surroundings, read_surroundings


def withdraw_command(
    director: str,
    stills: Sequence[str],
    *,
    dry_run: bool,
    yes: bool,
    source: bool,
    source_to: str | None,
    who: str | None,
    as_json: bool,
) -> int:
    """Show what goes; take it away with `yes`, or where somebody at a terminal says so."""
    surroundings = read_surroundings()
    _check_director(surroundings, director)
    store = surroundings.store()
    moved_to = str(Path(source_to).expanduser().resolve()) if source_to else ""
    with prepare_home(surroundings) as instance:
        if not dry_run:
            sweep_and_tell(instance, Console(stderr=True))  # who was killed has no end to be waited for
        records = records_of(instance)
        asked = {"who": who or getpass.getuser(), "source": source or bool(moved_to), "moved_to": moved_to}
        begun = pending(store, director)
        plan = plan_withdrawal(store, director, stills, records, begun=begun, **asked)  # type: ignore[arg-type]
        if not as_json:
            for one in (*begun, plan):
                _show(one, begun=one is not plan)
        if dry_run or not (yes or (not as_json and _agreed(plan))):
            if as_json:
                print(json.dumps({"removed": False, "withdrawals": [asdict(one) for one in (*begun, plan)]}, indent=2))
            else:
                print(f"Nothing was removed.{'' if dry_run else ' With --yes it goes.'}")
            return 0
        went = withdraw(store, director, stills, records, **asked)  # type: ignore[arg-type]
    if as_json:
        print(json.dumps({"removed": True, "withdrawals": [asdict(one) for one in went]}, indent=2))
        return 0
    for note in dict.fromkeys(note for one in went for note in one.notes if note not in plan.notes):
        print(note)
    contents = {one.sha256 for each in went for one in each.taken}
    print(f"Withdrawn: {len(contents)} still{'' if len(contents) == 1 else 's'}. Run `director run {director}` next.")
    return 0


def _check_director(surroundings: Surroundings, slug: str) -> None:
    """Of any director that the store knows, also of one whose file is gone."""
    store = surroundings.store()
    if slug not in surroundings.catalog.directors and not store.is_folder(f"stills/{slug}"):
        known = ", ".join(sorted(surroundings.catalog.directors))
        raise SpecError(slug, "is no director", f"Choose of {known}.")


def _agreed(plan: Withdrawal) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    count = len(plan.taken)
    return input(f"Withdraw {count} still{'' if count == 1 else 's'} for good? [y/N] ").strip().lower() == "y"


def _show(plan: Withdrawal, *, begun: bool) -> None:
    console = Console(width=None if Console().is_terminal else 160, highlight=False, markup=False)
    if begun:
        console.print("Begun before and not ended; it is ended with this one:")
    for taken in plan.taken:
        console.print(f"{', '.join(taken.names) or 'nothing is left of it'}  {taken.sha256}")
    table = Table("what goes", "number", title="What goes")
    assets = Counter("/".join(folder.split("/")[1:-2]) for folder in plan.artifacts)
    for asset, count in sorted(assets.items()):
        table.add_row(f"versions of {asset}", str(count))
    kinds = Counter("/".join(name.split("/")[:2]) for name in plan.items)
    for kind, count in sorted(kinds.items()):
        table.add_row(kind, str(count))
    for what, some in (
        ("unfinished work on this machine", plan.paths),
        (
            f"files that people put there, moved to {plan.moved_to}"
            if plan.moved_to
            else "files that people put there",
            plan.source,
        ),
        ("runs of Dagster's, with their events and logs", plan.runs),
    ):
        if some:
            table.add_row(what, str(len(some)))
    console.print(table if table.row_count else "Nothing of it is left here.")
    if plan.learners:
        console.print("Adapters that know it; they stay, and are made anew without it by the next run:")
        for one in plan.learners:
            of = f" of {one.partition}" if one.partition else ""
            console.print(f"  {one.asset}{of} {one.key}: {one.split}{', the newest' if one.latest else ''}")
    for words in plan.published:
        console.print(f"What went out stays out: {words}.")
    for note in plan.notes:
        console.print(note)
