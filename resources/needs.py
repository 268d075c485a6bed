"""Needs: what a stage wants of the machine that its steps run on, declared once, beside the stage.

Belongs here: the declaration, and how it stands in a step's tags.  What it becomes on each executor is told in
`pipelines/executors`; which device of a machine a body gets, `resources/machine.py` decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass

GPU = "gpu"  # the pool of steps that want an accelerator; it has a limit only where there are some
TAG = "director/gpus"
_EACH_PROCESS = "one for each process"


@dataclass(frozen=True)
class Needs:
    """Nothing but a CPU, unless told."""

    gpu: bool = False
    each_process: bool = False

    def gpus(self, processes: int) -> int:
        """How many, where the deployment has so many processes for a training."""
        return 0 if not self.gpu else processes if self.each_process else 1

    @property
    def pool(self) -> str | None:
        """The pool that its steps hold a place of."""
        return GPU if self.gpu else None

    @property
    def tags(self) -> dict[str, str]:
        """What says so on the steps."""
        return {TAG: _EACH_PROCESS if self.each_process else "1"} if self.gpu else {}


NOTHING = Needs()


def one_gpu(*, each_process: bool = False) -> Needs:
    """A GPU; or one for each process of a training that several share."""
    return Needs(gpu=True, each_process=each_process)


def needs_of(tags: Mapping[str, str]) -> Needs:
    """What the tags of a step say."""
    return Needs(gpu=TAG in tags, each_process=tags.get(TAG) == _EACH_PROCESS)
