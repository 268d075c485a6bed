"""Checks of students: that each file is what was trained.  Imports no torch."""

from collections.abc import Sequence

from director_diffusion.checks import Check
from director_diffusion.distillation.rows import Student, steps_of
from director_diffusion.storage.artifact import CheckOutcome
from director_diffusion.training.checks import judge_reload

RELOADS = Check(
    "students_reload",
    "Every student's file, loaded on top of the adapter into the bare base, predicts what the trained student does.",
    blocking=True,
)
TAUGHT = Check(
    "students_learned", "Every student is nearer to its teacher than the adapter asked alike.", blocking=True
)
CHECKS: tuple[Check, ...] = (RELOADS, TAUGHT)


def judge_students(students: Sequence[Student]) -> list[CheckOutcome]:
    """The checks' answers, in the order of CHECKS."""
    reloaded = {one.count: judge_reload(one.reload) for one in students}
    words = [f"In {steps_of(count)}: {check.description}" for count, check in reloaded.items()]
    losses = {f"{one.count}": f"{one.held_out_loss:.4f} of {one.untaught_loss:.4f}" for one in students}
    return [
        RELOADS.outcome(all(check.passed for check in reloaded.values()), " ".join(words)),
        TAUGHT.outcome(
            all(one.held_out_loss < one.untaught_loss for one in students),
            "Held-out loss beside that of the adapter itself, by steps.",
            **losses,
        ),
    ]
