"""`director sign-off`: a person answers for an adapter that its verdict withholds.

Belongs here: what may be signed, and recording it.  What a sign-off does is the publication's affair.
"""

from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from director_diffusion.errors import PublishError
from director_diffusion.evaluation.types import Verdict
from director_diffusion.publishing.sign_offs import SHOWN, SignOff, add_sign_off, read_sign_offs, sign_off_for
from director_diffusion.releases.published import DECIDING, newest_verdicts
from director_diffusion.releases.record import live, read_releases
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.storage.artifact import usable_artifact
from director_diffusion.storage.store import Store
from director_diffusion.training.rows import adapter_version
from pipelines.cli.choices import choose_recipe, signature
from pipelines.cli.in_process import quiet_libraries
from pipelines.jobs import SIGN_OFF
from pipelines.surroundings import read_surroundings


def sign_off_command(director: str, *, recipe: str | None, who: str | None, why: str | None, clear: bool) -> int:
    """Sign off the newest adapter (or take that back) and look at it; without a name, tell how things stand."""
    quiet_libraries()
    surroundings = read_surroundings()
    recipe = choose_recipe(surroundings, director, recipe)
    listing = who is None and why is None and not clear
    who, why = ("", "") if listing else signature(who, why)
    store = surroundings.store()
    version = adapter_version(usable_artifact(store, (recipe, "adapter"), director).manifest)
    verdicts = newest_verdicts(Ancestry(store), recipe, director, version)
    if listing:
        _tell(store, recipe, director, version, verdicts)
        return 0
    if not clear:
        _check_withheld(recipe, director, version, verdicts)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    add_sign_off(store, recipe, director, SignOff("taken back" if clear else "signed off", version, who, why, date))
    told = f"{who} has taken the sign-off back" if clear else f"signed off by {who}"
    print(f"{director} by {recipe}, adapter {version[:SHOWN]}: {told}.")
    print(f"Its card and publication are stale now: director run {director} --recipe {recipe}")
    now = live(read_releases(store, recipe, director))
    if clear and now is not None and now.adapter_version == version:
        print(f"It is still live, which is yours to decide: director rollback {director} --recipe {recipe}")
    from pipelines.cli.look import look_at

    return look_at(surroundings, recipe, director, SIGN_OFF)


def _check_withheld(recipe: str, director: str, version: str, verdicts: dict[str, Verdict]) -> None:
    """Nobody can answer for what has not been judged, and nobody needs to for what passes."""
    thing = f"{director} by {recipe}, adapter {version[:SHOWN]}"
    if DECIDING not in verdicts:
        raise PublishError(thing, "has not been judged yet", f"Run it first: director run {director} --recipe {recipe}")
    if verdicts[DECIDING].outcome == "pass":
        raise PublishError(thing, "passes: there is nothing to sign off", "It is published as it is.")


def _tell(store: Store, recipe: str, director: str, version: str, verdicts: dict[str, Verdict]) -> None:
    for name, verdict in verdicts.items():
        print(f"{director} by {recipe}, adapter {version[:SHOWN]}: {name} says {verdict.outcome}.")
        for reason in verdict.reasons:
            print(f"  {reason}")
    if not verdicts:
        print(f"{director} by {recipe}, adapter {version[:SHOWN]}: not judged yet.")
    entries = read_sign_offs(store, recipe, director)
    table = Table("date", "adapter", "", "who", "why", title="Sign-offs")
    for entry in entries:
        table.add_row(
            entry.date, entry.adapter_version[:SHOWN], entry.act, *(escape(text) for text in (entry.who, entry.why))
        )
    if entries:
        Console().print(table)
    holds = sign_off_for(entries, version)
    print(f"This adapter is signed off by {holds.who}." if holds else "This adapter is not signed off.")
