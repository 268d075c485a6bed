"""What the making of one part is given.

Belongs here: that one record, and asking a base for how it is trained.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from director_diffusion.errors import SpecError
from director_diffusion.pretraining.specs import PartTraining, TrainedHere
from director_diffusion.progress import Progress
from director_diffusion.specs import Base

if TYPE_CHECKING:
    from director_diffusion.pretraining.loop import Lesson


@dataclass(frozen=True)
class PartRun:
    """One making of one part."""

    out: Path  # the finished part, in the layout that its real loader reads, goes here
    work: Path  # snapshots; survives a kill
    root: Path  # what relative paths of a data source start from
    cache: Path  # of models; keeps what a data source downloads
    data: str  # what names the data's content in the part's key
    token: str | None  # of the Hub's
    device: str
    progress: Progress
    show: Callable[[int, Image.Image], None]  # a sample grid, by step
    parts: Mapping[str, Path] = field(default_factory=dict)  # finished parts that this one is built on, by name

    def train(self, lesson: "Lesson", settings: PartTraining, *, title: str, seed: int) -> None:
        """Teach a lesson with what this run gives; see `loop.train`."""
        from director_diffusion.pretraining.loop import train  # which imports torch; keys ask this module without it

        train(
            lesson,
            settings,
            title=title,
            seed=seed,
            work=self.work,
            device=self.device,
            progress=self.progress,
            show=self.show,
        )


def trained_here(base: Base) -> TrainedHere:
    """How the base is trained from scratch.  Raises SpecError where its file does not say."""
    if base.trained_here is None:
        raise SpecError(base.slug, "is not trained here", "Give its file a section `trained_here`, as mini.yaml has.")
    return base.trained_here
