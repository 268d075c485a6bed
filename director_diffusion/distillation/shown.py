"""Shown: the numbers and pictures of students, by title.

Belongs here: names and values.  The names stay the same, since the leaderboard goes by one of them.
"""

from collections.abc import Sequence

from PIL import Image

from director_diffusion.distillation.rows import Student, steps_of
from director_diffusion.training.header import HELD_OUT_LOSS
from director_diffusion.training.plots import curve_plot
from director_diffusion.training.rows import TRAINING_SECONDS


def facts_of_students(students: Sequence[Student]) -> dict[str, int | float | str]:
    """Losses of each, and seconds where all of its training was in one go."""
    facts: dict[str, int | float | str] = {}
    for one in students:
        title = steps_of(one.count)
        facts |= {
            f"{title}: held-out loss": one.held_out_loss,
            f"{title}: that of the adapter itself": one.untaught_loss,
        }
        if one.training_seconds is not None:
            facts[f"{title}: {TRAINING_SECONDS}"] = round(one.training_seconds, 1)
    return facts


def curves_of_students(students: Sequence[Student]) -> dict[str, Image.Image]:
    """The training curve of each."""
    return {
        f"training curve, {steps_of(one.count)}": curve_plot(one.curve, one.chosen_step, HELD_OUT_LOSS)
        for one in students
    }
