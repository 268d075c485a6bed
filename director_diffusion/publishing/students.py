"""Students on a card: which few-step students go out with an adapter, and what is said of all of them.

Belongs here: plain typed data, drawn from the stages' artifacts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from director_diffusion.distillation.rows import weights_file
from director_diffusion.evaluation.few_steps_types import FEW_STEPS_FILE, FewSteps, few_steps_from
from director_diffusion.sampling.grids import comparison_grid
from director_diffusion.sampling.rows import FILE as SAMPLES_FILE
from director_diffusion.sampling.rows import Sample
from director_diffusion.storage import Artifact, Store


@dataclass(frozen=True)
class ShownStudent:
    """A student of the adapter, and how it was judged."""

    weights: Path
    judged: FewSteps

    @property
    def file(self) -> str:
        """Its name in the repository; only what passed is there."""
        return weights_file(self.judged.count)

    @property
    def goes_out(self) -> bool:
        return self.judged.verdict.outcome == "pass"


@dataclass(frozen=True)
class Students:
    """All students of an adapter, by their steps, and their pictures beside its own."""

    shown: tuple[ShownStudent, ...]
    grid: Image.Image
    baseline: tuple[FewSteps, ...] = ()  # others' weights on the same adapter, by their steps

    @property
    def judged(self) -> tuple[FewSteps, ...]:
        """What is said of all of them, others' weights last."""
        return (*(student.judged for student in self.shown), *self.baseline)

    @property
    def going_out(self) -> Sequence[ShownStudent]:
        return [student for student in self.shown if student.goes_out]


def students_of(turbo_adapter: Artifact, samples: Artifact, evaluation: Artifact, store: Store) -> Students:
    """From the artifacts of a recipe's turbo stages."""
    judged = few_steps_from(evaluation.json(FEW_STEPS_FILE))
    return Students(
        tuple(ShownStudent(turbo_adapter.path(weights_file(one.count)), one) for one in judged if one.of == "student"),
        comparison_grid(samples.table(SAMPLES_FILE, Sample), store, limit=4),
        tuple(one for one in judged if one.of == "stock"),
    )
