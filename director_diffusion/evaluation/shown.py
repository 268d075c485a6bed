"""Shown: the pictures of an evaluation, by title.

Belongs here: which there are.  How each is drawn is `plots`' and `pairs`'.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from PIL import Image

from director_diffusion.evaluation.pairs import pairs_grid
from director_diffusion.evaluation.plots import confusion_plot, effects_plot, history_plot
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store


def pictures_of(
    evaluation: Evaluation,
    director: str,
    still_set: StillSet,
    history: Sequence[tuple[datetime, Mapping[str, object]]],
    store: Store,
) -> dict[str, Image.Image]:
    """In the order in which they are shown; `history` are the facts of earlier evaluations and of this one, by date."""
    return {
        "effects": effects_plot(evaluation),
        "effects over time": history_plot(history),
        "whose stills are nearest": confusion_plot(director, evaluation.confusion),
        "nearest training stills": pairs_grid(evaluation.pairs, still_set, store),
    }
