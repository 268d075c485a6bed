"""`director rollback`: what was live before becomes live again, and is delivered.

Belongs here: the command.  What that is, is `director_diffusion.releases`'s.
"""

from datetime import UTC, datetime

from director_diffusion.publishing.sign_offs import SHOWN
from director_diffusion.releases.change import roll_back
from pipelines.cli.choices import choose_recipe, signature
from pipelines.cli.deliver import deliver_live, delivery_is_finished
from pipelines.cli.in_process import quiet_libraries
from pipelines.surroundings import read_surroundings


def rollback_command(director: str, *, recipe: str | None, to: str | None, who: str, why: str) -> int:
    """Record and deliver.  After one that was cut off, the same words finish it and go back no further."""
    quiet_libraries()
    surroundings = read_surroundings()
    recipe = choose_recipe(surroundings, director, recipe)
    who, why = signature(who, why)
    store = surroundings.store()
    release, new = roll_back(
        store,
        recipe,
        director,
        to=to,
        delivered=delivery_is_finished(surroundings, store, recipe, director),
        who=who,
        why=why,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    told = "is live again" if new else "is live again; finishing a rollback that was cut off"
    print(f"{director} by {recipe}: adapter {release.adapter_version[:SHOWN]} {told}.")
    deliver_live(surroundings, store, recipe, director, new=new)
    return 0
