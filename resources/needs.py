"""Needs: what a stage wants of the machine that its steps run on, declared once, beside the stage.

Belongs here: the declaration, how it stands in a step's tags, and how many devices it comes to in a run.  What it
becomes on each executor is told in `pipelines/executors`; which device of a machine a body gets, `resources/machine.py`
decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from director_diffusion.errors import SpecError
from director_diffusion.training.division import MOST

GPU = "gpu"  # the pool of steps that want an accelerator; it has a limit only where there are some
GPUS_TAG: Final = "director/gpus"
"""Of a run: how many GPUs its steps may share, those that can; without GPUs, processes of the CPU."""
NEEDS_TAG: Final = "director/needs"
"""Of an op: what its stage needs (`Needs.tags`); one without it needs nothing but a CPU."""


@dataclass(frozen=True)
class Shares:
    """Which work of a step several processes can share, and by how many it can be divided."""

    work: Literal["training", "drawing"]
    counts: tuple[int, ...] = ()  # 1 among them; (): any number

    def of(self, asked: int) -> int:
        """As many of those that are asked for as can share it."""
        return max(count for count in self.counts if count <= asked) if self.counts else asked

    def asked(self, run_tags: Mapping[str, str], *, gpus: int, training_processes: int) -> int:
        """How many may share it: as many as the run's tag allows; without one a training as many as the deployment
        says, drawing one.  Raises SpecError for a tag that is no number, or more than the deployment's `gpus` where it
        has some.
        """
        if (asked := run_tags.get(GPUS_TAG)) is None:
            return training_processes if self.work == "training" else 1
        if not (asked.isascii() and asked.isdigit() and 1 <= int(asked) <= MOST):
            raise SpecError(
                f"{GPUS_TAG} {asked!r}", f"is no whole number from 1 to {MOST}", "Launch it with another tag."
            )
        if gpus and int(asked) > gpus:
            raise SpecError(
                f"{GPUS_TAG} {asked}", f"is more than the GPUs of this deployment: {gpus}", f"Ask for {gpus} or fewer."
            )
        return int(asked)


@dataclass(frozen=True)
class Needs:
    """Nothing but a CPU, unless told."""

    gpu: bool = False
    shares: Shares | None = None

    def devices(self, run_tags: Mapping[str, str], *, gpus: int, training_processes: int = 1) -> int:
        """How many a step wants, a process for each, all on one machine.  Raises SpecError as `Shares.asked` does."""
        if not self.gpu:
            return 0
        if self.shares is None:
            return 1
        return self.shares.of(self.shares.asked(run_tags, gpus=gpus, training_processes=training_processes))

    @property
    def pool(self) -> str | None:
        """The pool that its steps hold a place of."""
        return GPU if self.gpu else None

    @property
    def tags(self) -> dict[str, str]:
        """What says so on the steps."""
        if not self.gpu:
            return {}
        shared = (self.shares.work, *map(str, self.shares.counts)) if self.shares else ()
        return {NEEDS_TAG: " ".join([GPU, *shared])}


NOTHING = Needs()


def one_gpu(shares: Shares | None = None) -> Needs:
    """A GPU; or one for each process of a work that several can share."""
    return Needs(gpu=True, shares=shares)


def needs_of(op_tags: Mapping[str, str]) -> Needs:
    """What the tags of a step say, for whoever has no more of it than these."""
    gpu, work, *counts = [*op_tags.get(NEEDS_TAG, "").split(), "", ""]
    kinds: dict[str, Literal["training", "drawing"]] = {"training": "training", "drawing": "drawing"}
    shares = Shares(kinds[work], tuple(int(count) for count in counts if count)) if work in kinds else None
    return Needs(gpu=gpu == GPU, shares=shares)
