"""`director promote`: a published adapter becomes live, and is delivered.

Belongs here: the command.  What may be promoted, and how it is delivered, is `director_diffusion.releases`'s.
"""

from datetime import UTC, datetime

from director_diffusion.publishing.sign_offs import SHOWN
from director_diffusion.releases.change import promote
from pipelines.cli.choices import choose_recipe, signature
from pipelines.cli.deliver import deliver_live
from pipelines.cli.in_process import quiet_libraries
from pipelines.surroundings import read_surroundings


def promote_command(director: str, *, recipe: str | None, version: str | None, who: str, why: str) -> int:
    """Record and deliver.  A version that is live already is delivered again, which mends what the folder lost."""
    quiet_libraries()
    surroundings = read_surroundings()
    recipe = choose_recipe(surroundings, director, recipe)
    who, why = signature(who, why)
    store = surroundings.store()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    release, new = promote(store, recipe, director, version=version, who=who, why=why, date=date)
    told = "is live now" if new else f"is live already, since {release.date} by {release.who}"
    signed = f", signed off by {release.signed_off_by}" if release.signed_off_by else ""
    print(
        f"{director} by {recipe}: adapter {release.adapter_version[:SHOWN]} {told} (verdict {release.verdict}{signed})."
    )
    deliver_live(surroundings, store, recipe, director, new=new)
    return 0
