"""What a distillation tells: its students, and where their weights are.  Imports no torch."""

from dataclasses import asdict, dataclass

from director_diffusion.specs import StepCount
from director_diffusion.training.rows import CurvePoint, Reload

TURBO_VERSION = "1"  # of what a student learns and from what; a change starts all anew
RESULT_FILE, CURVE_FILE = "students.json", "curves.parquet"


def weights_file(count: StepCount) -> str:
    """The file of the student that draws in so many steps; it is worn on top of the adapter."""
    return f"turbo_{count}_step{'s' if count > 1 else ''}.safetensors"


def steps_of(count: int) -> str:
    """In words."""
    return f"{count} step{'s' if count > 1 else ''}"


@dataclass(frozen=True)
class Lap:
    """A point of a student's curve; see `training.rows.CurvePoint`."""

    student: int  # the steps that it draws in
    step: int
    lr: float | None
    loss: float | None
    grad_norm: float | None
    held_out_loss: float | None

    @classmethod
    def of(cls, student: int, point: CurvePoint) -> "Lap":
        return cls(student, **asdict(point))


@dataclass(frozen=True)
class Student:
    """One that draws in `count` steps, worn on top of the adapter."""

    count: StepCount
    training: str  # the identity of the course that it was chosen of
    chosen_step: int
    # Mean squared errors on its teacher's ways, from prompts that it did not learn, or from other noise where it
    # learned all.  Of segments those of velocities, and on its own ways too where it went to a second course; of a
    # consistent student those of the ways' ends.
    held_out_loss: float
    untaught_loss: float  # of the adapter itself, asked for the same without guidance
    reload: Reload
    curve: tuple[CurvePoint, ...]  # of all its courses, one after the other
    training_seconds: float | None  # of its courses' steps; None where not all of them were trained here, in one go
