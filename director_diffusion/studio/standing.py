"""Standing: what the tab Leaderboard shows, read from the store.

Belongs here: the newest leaderboard, chosen from and sorted as a visitor asks.  No gradio.
"""

from html import escape

from director_diffusion.errors import OrderError
from director_diffusion.leaderboard.columns import COLUMNS, sorted_by
from director_diffusion.leaderboard.page import page_of
from director_diffusion.leaderboard.rows import FILE, leaderboard_from
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import UNPARTITIONED, usable_artifacts

SUREST, ALL = "surest first", "all"
ORDERS: dict[str, str] = {SUREST: ""} | {column.title: column.name for column in COLUMNS}
NOT_YET = "There is no leaderboard yet: <code>director run</code> ends with one."


def shown(store: Store, order: object, director: object, recipe: object) -> str:
    """The page of those asked for.  Raises OrderError for what is not on offer."""
    if not isinstance(order, str) or order not in ORDERS:
        raise OrderError("the order", "is none of those on offer", "Choose one of the list.")
    artifact = usable_artifacts(store, ("leaderboard",), [UNPARTITIONED]).get(UNPARTITIONED)
    if artifact is None:
        return f"<p>{NOT_YET}</p>"
    entries = leaderboard_from(artifact.json(FILE))
    asked = [one for one in entries if director in (ALL, one.director) and recipe in (ALL, one.recipe)]
    found = sorted_by(asked, ORDERS[order]) if ORDERS[order] else asked
    made = f"{artifact.manifest.made[:16].replace('T', ' ')} UTC"
    return f"{page_of(found)}<p>Set side by side {escape(made)}.</p>"
