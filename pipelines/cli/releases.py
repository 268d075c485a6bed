"""`director releases`: what is live, and what was.

Belongs here: reading and showing the records; nothing is changed.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from director_diffusion.publishing.sign_offs import SHOWN
from director_diffusion.releases.record import Release, read_releases
from pipelines.cli.choices import choose_directors, choose_recipes
from pipelines.cli.deliver import delivery_folder, live_is_delivered
from pipelines.cli.in_process import quiet_libraries
from pipelines.surroundings import read_surroundings


def releases_command(directors: Sequence[str], *, recipe: str | None, history: bool, as_json: bool) -> int:
    """A row for each live adapter, and with `history` for each that was."""
    quiet_libraries()
    surroundings = read_surroundings()
    slugs, recipes = choose_directors(surroundings, directors), choose_recipes(surroundings, recipe)
    store = surroundings.store()
    records = {(slug, name): read_releases(store, name, slug) for slug in slugs for name in recipes}
    delivered = {
        (slug, name): live_is_delivered(surroundings, store, name, slug)
        for (slug, name), entries in records.items()
        if entries and delivery_folder(surroundings) is not None
    }
    rows = [
        {
            "director": slug,
            "recipe": name,
            "live": entry is entries[-1],
            "delivered": delivered.get((slug, name)) if entry is entries[-1] else None,
            **asdict(entry),
        }
        for (slug, name), entries in records.items()
        for entry in (entries if history else entries[-1:])
    ]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif rows:
        _print(rows)
    else:
        print("Nothing is live yet: director promote DIRECTOR --who NAME --why TEXT")
    return 0


def _print(rows: Sequence[dict[str, object]]) -> None:
    table = Table("director", "recipe", "", "adapter", "commit", "verdict", "date", "who", "why", "delivered")
    for row in rows:
        release = Release(**{name: row[name] for name in Release.__dataclass_fields__})  # type: ignore[arg-type]
        signed = f", signed off by {release.signed_off_by}" if release.signed_off_by else ""
        table.add_row(
            str(row["director"]),
            str(row["recipe"]),
            "live" if row["live"] else release.act,
            release.adapter_version[:SHOWN],
            release.commit[:SHOWN],
            escape(f"{release.verdict}{signed}"),
            release.date,
            escape(release.who),
            escape(release.why),
            {True: "yes", False: "no: promote it again", None: "–"}[row["delivered"]],  # type: ignore[index]
        )
    Console(width=None if Console().is_terminal else 200).print(table)
