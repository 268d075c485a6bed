"""`director pick`: a person's choice of a training's step, in place of the held-out loss's.

Belongs here: the words of the command.  What may be chosen is `picking`'s, what the choice does the adapter stage's.
"""

import getpass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from director_diffusion.errors import SpecError
from pipelines.cli.choices import choose_recipe
from pipelines.cli.in_process import quiet_libraries
from pipelines.cli.look import look_at
from pipelines.jobs import PICK
from pipelines.surroundings import read_surroundings

if TYPE_CHECKING:
    from director_diffusion.training.picking import Offer


def pick_command(
    director: str,
    *,
    recipe: str | None,
    step: int | None,
    strength: float | None,
    who: str | None,
    why: str | None,
    clear: bool,
) -> int:
    """Record (or clear) a pick and look at it, so that what depends on it goes stale; without a step, list them."""
    quiet_libraries()
    surroundings = read_surroundings()
    recipe = choose_recipe(surroundings, director, recipe)
    for word, value in (("--strength", strength), ("--who", who), ("--why", why)):
        if value is not None and step is None:
            raise SpecError(word, "is of a step", "Give --step too.")
    folds = surroundings.catalog.evaluations[surroundings.project.evaluation].folds
    store = surroundings.store()

    from director_diffusion.training.picking import choose, chooser, clear_pick, offer

    if clear:
        clear_pick(store, recipe, director)
        print(f"{director} by {recipe}: the {chooser(folds=folds)} will choose again.")
        return look_at(surroundings, recipe, director, PICK)
    if step is None:
        _list(offer(store, recipe, director, folds=folds))
        return 0
    strength = 1.0 if strength is None else strength
    pick = choose(store, recipe, director, step=step, strength=strength, who=who or getpass.getuser(), why=why or "")
    print(f"{director} by {recipe}: step {step} at strength {pick.strength:g}, picked by {pick.who}.")
    print(f"The adapter and what follows are stale now: director run {director} --recipe {recipe}")
    return look_at(surroundings, recipe, director, PICK)


def _list(offer: "Offer") -> None:
    """The steps there are; where they are watched by stills that were learned too, the least loss tells nothing."""
    table = Table("step", "loss of learned stills" if offer.watched else "held-out loss", "")
    for step, loss in offer.losses.items():
        table.add_row(str(step), f"{loss:.5f}", escape(", ".join(offer.marks(step))))
    Console().print(table)
    if isinstance(offer.picked, str):
        print(offer.picked)
