"""Checkpoints on show: what the tab Checkpoints tells of a training, and a pick as a page sends it.

Belongs here: words, pictures and bounds.  Imports no gradio.
"""

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from director_diffusion.errors import OrderError
from director_diffusion.storage import Artifact
from director_diffusion.storage.artifact import is_made, latest_artifact
from director_diffusion.studio.orders import checked_choice, checked_number, checked_text, checked_whole
from director_diffusion.studio.studio import Studio
from director_diffusion.training.rows import RESULT_FILE, Pick

if TYPE_CHECKING:
    from PIL.Image import Image

    from director_diffusion.training.picking import Offer, Seen

ADAPTER = "adapter"
MOST_STEPS = 10_000_000
MOST_WHO, MOST_WHY = 100, 500  # characters
LEAST_STRENGTH = 0.05
SHEETS = ("previews", "strengths")
_PICTURE = re.compile(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class Training:
    """A director's newest training by a recipe, as a page shows it."""

    recipe: str
    director: str
    title: str  # the two as people call them
    offer: "Offer"
    sheets: dict[str, bytes]  # JPEGs, of the adapter that there is
    made_step: int | None  # that the adapter was made of; None where there is none yet
    is_newest: bool  # the adapter is of this training, and not of one before

    @property
    def rows(self) -> list[list[str]]:
        """Step, held-out loss, and what is to be said of it."""
        return [[str(step), f"{loss:.5f}", ", ".join(self._marks(step))] for step, loss in self.offer.losses.items()]

    @property
    def said(self) -> str:
        """How things stand, in a sentence or two."""
        offer = self.offer
        if isinstance(offer.picked, str):
            return offer.picked
        if offer.pick is not None:
            why = f": {offer.pick.why}" if offer.pick.why else ""
            stands = f"Step {offer.pick.step} at strength {offer.pick.strength:g} was picked by {offer.pick.who}{why}."
        else:
            stands = "Nobody has picked a step: the training chooses."
        if self.made_step is None:
            return f"{stands} There is no adapter yet."
        late = "" if self.is_newest else " The adapter and its previews are of a training before this one."
        return f"{stands} The adapter that there is was made of step {self.made_step}.{late}"

    def curve(self) -> "Image":
        """The training's curve, with the step that is chosen as things stand."""
        from director_diffusion.training.choice import Choice
        from director_diffusion.training.plots import curve_plot

        offer = self.offer
        if isinstance(offer.picked, Choice):
            step, by = offer.picked.step, offer.picked.who
        else:
            step, by = offer.best if offer.best is not None else self.made_step or offer.steps[-1], "the training"
        return curve_plot(offer.curve, step, by, watched=offer.watched)

    def _marks(self, step: int) -> list[str]:
        made = ["the adapter's"] if self.is_newest and step == self.made_step else []
        return [*self.offer.marks(step), *made]


def training_on_show(studio: Studio, recipe: object, director: object) -> Training:
    """Raises OrderError for names that are none, EditError where nothing was trained yet."""
    from director_diffusion.training.picking import offer

    slug = checked_choice("recipe", recipe, studio.recipes)
    person = checked_choice("director", director, studio.directors)
    found = offer(studio.store, slug, person, folds=studio.plan.folds)
    title = f"{studio.directors[person].name} by {slug}"
    if not is_made(studio.store, (slug, ADAPTER), person):
        return Training(slug, person, title, found, {}, None, is_newest=False)
    adapter = latest_artifact(studio.store, (slug, ADAPTER), person)
    result = adapter.json(RESULT_FILE)
    step, newest = int(result["chosen_step"]), str(result["training"]) == found.training
    return Training(slug, person, title, found, _sheets(adapter), step, newest)


def pick(
    studio: Studio,
    recipe: object,
    director: object,
    seen: "Seen",
    *,
    step: object,
    strength: object,
    who: object,
    why: object,
) -> Pick:
    """Record a choice over what was `seen`, as `director pick` does.  Raises OrderError or EditError if refused."""
    from director_diffusion.training.picking import MOST_STRENGTH, choose

    name = checked_text("who", who, MOST_WHO)
    if not name:
        raise OrderError("who", "is empty", "Say who picks: the model card names them.")
    return choose(
        studio.store,
        checked_choice("recipe", recipe, studio.recipes),
        checked_choice("director", director, studio.directors),
        step=checked_whole("step", step, 1, MOST_STEPS),
        strength=checked_number("strength", strength, LEAST_STRENGTH, MOST_STRENGTH),
        who=name,
        why=checked_text("why", why, MOST_WHY),
        seen=seen,
    )


def clear(studio: Studio, recipe: object, director: object, seen: "Seen") -> None:
    """Leave the choice to the training again.  Raises EditError where there is no pick."""
    from director_diffusion.training.picking import clear_pick

    clear_pick(
        studio.store,
        checked_choice("recipe", recipe, studio.recipes),
        checked_choice("director", director, studio.directors),
        seen=seen,
    )


def _sheets(adapter: Artifact) -> dict[str, bytes]:
    """The preview sheets that the adapter's stage told, by name."""
    told = {entry.label: str(entry.value) for entry in adapter.manifest.metadata if entry.label in SHEETS}
    found = {name: _PICTURE.search(text) for name, text in told.items()}
    return {name: base64.b64decode(match[1]) for name, match in found.items() if match is not None}
