"""Finished steps: what a training has made that people may choose of, kept by content in the store.

Belongs here: averaged adapter weights of every checkpoint, with the curve up to it.  A later choice, or a training that
was stopped, is served from here without a step being trained again.

    cache/trainings/<identity>/step-<step>.safetensors   the average; curve and versions in its header
"""

import json
from dataclasses import asdict, dataclass

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from director_diffusion.errors import TrainingError
from director_diffusion.storage.items import ItemCache
from director_diffusion.storage.store import Store
from director_diffusion.training.rows import CurvePoint

_PREFIX = "step-"


@dataclass(frozen=True)
class FinishedStep:
    """What there is after a number of optimizer steps."""

    weights: dict[str, Tensor]  # the average, by the adapter's own names
    curve: tuple[CurvePoint, ...]
    packages: dict[str, str]  # versions of what trained it


class FinishedSteps:
    """The finished steps of one training."""

    def __init__(self, store: Store, training: str):
        """`training` is its identity's short hash."""
        self._cache = ItemCache(store, "trainings", training, ".safetensors")

    def save(self, step: int, finished: FinishedStep) -> None:
        """Keep what there is after `step` optimizer steps."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in finished.weights.items()}
        header = {
            "curve": json.dumps([asdict(point) for point in finished.curve]),
            "packages": json.dumps(finished.packages),
        }
        self._cache.write(_item(step), safetensors.torch.save(tensors, header))

    def steps(self) -> list[int]:
        """Ascending."""
        names = self._cache.store.names(self._cache.folder)
        return sorted(int(name.removeprefix(_PREFIX).split(".")[0]) for name in names if name.startswith(_PREFIX))

    def load(self, step: int) -> FinishedStep:
        """Raises TrainingError where the file is damaged."""
        data = self._cache.read(_item(step))
        try:
            weights = safetensors.torch.load(data)
        except SafetensorError as error:
            raise TrainingError(
                self.name(step), "is damaged", f"Delete {self._cache.folder} in the store and train again."
            ) from error
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])["__metadata__"]
        curve = tuple(CurvePoint(**point) for point in json.loads(header["curve"]))
        return FinishedStep(weights, curve, json.loads(header["packages"]))

    def name(self, step: int) -> str:
        """The store's name of a step's file."""
        return self._cache.name(_item(step))


def _item(step: int) -> str:
    return f"{_PREFIX}{step:06d}"
