"""`director pick`: a person's choice of a training's step, in place of the held-out loss's.

Belongs here: what may be chosen, and recording it.  What the choice does is the adapter stage's affair.
"""

import getpass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from director_diffusion.errors import SpecError, TrainingError
from director_diffusion.training.header import FOLDS, HELD_OUT_LOSS
from director_diffusion.training.picks import newest_training, read_pick, remove_pick, write_pick
from director_diffusion.training.rows import CurvePoint, Pick
from pipelines.cli.choices import choose_recipe
from pipelines.cli.in_process import quiet_libraries
from pipelines.cli.look import look_at
from pipelines.jobs import PICK
from pipelines.surroundings import read_surroundings
from resources.store import StoreResource


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
    plan = surroundings.catalog.evaluations[surroundings.project.evaluation]
    store = StoreResource(url=surroundings.store_url).get()
    if clear:
        if read_pick(store, recipe, director) is None:
            raise TrainingError(f"{director} by {recipe}", "has no pick", "There is nothing to clear.")
        remove_pick(store, recipe, director)
        print(f"{director} by {recipe}: the {HELD_OUT_LOSS if plan.folds == 1 else FOLDS} will choose again.")
        return look_at(surroundings, recipe, director, PICK)

    from director_diffusion.training.finished import FinishedSteps

    training = newest_training(store, recipe, director)
    finished = FinishedSteps(store, training)
    steps = finished.steps()
    if not steps:
        raise TrainingError(
            f"{director} by {recipe}", "has no checkpoint yet", "Let it train to its first one (checkpoint_every)."
        )
    if step is None:
        _list(finished.curve(), steps, training, read_pick(store, recipe, director), watched=plan.folds == 2)
        return 0
    if step not in steps:
        raise TrainingError(
            f"step {step}", "was not kept", f"Pick one of {', '.join(map(str, steps))}, where checkpoints were."
        )
    pick = Pick(training, step, 1.0 if strength is None else strength, who or getpass.getuser(), why or "")
    write_pick(store, recipe, director, pick)
    print(f"{director} by {recipe}: step {step} at strength {pick.strength:g}, picked by {pick.who}.")
    print(f"The adapter and what follows are stale now: director run {director} --recipe {recipe}")
    return look_at(surroundings, recipe, director, PICK)


def _list(curve: tuple[CurvePoint, ...], steps: list[int], training: str, pick: Pick | None, *, watched: bool) -> None:
    """The steps there are; where they are `watched` by stills that were learned too, the least loss tells nothing."""
    from director_diffusion.training.choice import Choice, by_person
    from director_diffusion.training.curve import best_checkpoint

    instead = FOLDS if watched else HELD_OUT_LOSS
    picked = by_person(pick, training, steps, instead=instead) if pick is not None else None
    losses = {point.step: point.held_out_loss for point in curve}
    best, _ = best_checkpoint(curve)
    table = Table("step", "loss of learned stills" if watched else "held-out loss", "")
    for step in steps:
        marks = ["least held-out loss"] if step == best and not watched else []
        if isinstance(picked, Choice) and picked.step == step:
            marks.append(f"picked by {picked.who} at strength {picked.strength:g}")
        table.add_row(str(step), f"{losses[step]:.5f}", escape(", ".join(marks)))
    Console().print(table)
    if isinstance(picked, str):
        print(picked)
