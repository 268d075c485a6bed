"""`director gc`: old versions and cached items go, by a retention policy.

Belongs here: asking and showing.  What may go is `director_diffusion.retention`'s.
"""

import json
import sys
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from director_diffusion.retention.collect import collect, plan_collection
from director_diffusion.retention.collection import Collection, Policy
from director_diffusion.storage import Store
from pipelines.surroundings import read_surroundings


def gc_command(*, dry_run: bool, yes: bool, keep_days: float, keep_versions: int, as_json: bool) -> int:
    """Show what may go; take it away with `yes`, or where somebody at a terminal says so."""
    store, policy, now = Store(read_surroundings().store_url), Policy(keep_days, keep_versions), datetime.now(UTC)
    found = plan_collection(store, policy, now)
    if not as_json:
        _show(found)
    if found.removals and not dry_run and (yes or (not as_json and _agreed(found))):
        went = collect(store, found, policy)
        if as_json:
            print(json.dumps({"removed": True, **asdict(went), "bytes": went.bytes}, indent=2))
        else:
            print(f"Removed {len(went.removals)} things, {_size(went.bytes)}.")
        return 0
    if as_json:
        print(json.dumps({"removed": False, **asdict(found), "bytes": found.bytes}, indent=2))
    else:
        hint = " With --yes it goes." if found.removals and not dry_run and not yes else ""
        print(f"Nothing was removed.{hint}")
    return 0


def _agreed(found: Collection) -> bool:
    """Nobody is asked where nobody could answer: that is a dry run."""
    if not _at_terminal():
        return False
    return input(f"Remove these {len(found.removals)} things ({_size(found.bytes)})? [y/N] ").strip().lower() == "y"


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _show(found: Collection) -> None:
    console = Console(width=None if Console().is_terminal else 160, highlight=False)
    counts, weights = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for one in found.removals:
        row = one.kind, one.what, one.why
        counts[row] += 1
        weights[row] += one.bytes
    for title, rows in (
        ("What stays", [(kept.what, kept.why, kept.count, kept.bytes) for kept in found.kept]),
        (
            "What goes",
            [(f"{kind} {what}", why, n, weights[kind, what, why]) for (kind, what, why), n in counts.items()],
        ),
    ):
        table = Table("what", "why", "number", "size", title=title)
        for what, why, count, size in sorted(rows):
            table.add_row(what, why, str(count), _size(size))
        if rows:
            console.print(table)
    for note in found.notes:
        console.print(note)
    console.print(f"{len(found.removals)} things may go, {_size(found.bytes)}.")


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"
