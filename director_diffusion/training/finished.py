"""Finished steps: what a training has made that people may choose of, kept by content in the store.

Belongs here: averaged adapter weights of every checkpoint, with the curve up to it.  A later choice, or a training that
was stopped, is served from here without a step being trained again.

    cache/trainings/<identity>/step-<step>.safetensors   the average; curve and versions in its header
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from director_diffusion.errors import TrainingError
from director_diffusion.storage.items import ItemCache
from director_diffusion.storage.store import Store
from director_diffusion.training.rows import CurvePoint

_PREFIX = "step-"
_LENGTH_BYTES = 8  # a safetensors file begins with its header's length, little-endian
_MOST_HEADER = 100_000_000  # bytes: the format allows no longer one


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

    def curve(self) -> tuple[CurvePoint, ...]:
        """Up to the newest step; () where there is none.  Raises TrainingError where that step's header is damaged.

        Of its file only the header is read: the weights may be hundreds of MB.
        """
        newest = max(self.steps(), default=None)
        if newest is None:
            return ()
        item = _item(newest)
        with self._damage_told(newest):
            length = _header_length(self._cache.read_start(item, _LENGTH_BYTES))
            return _curve(_header(self._cache.read_start(item, _LENGTH_BYTES + length)))

    def load(self, step: int) -> FinishedStep:
        """Raises TrainingError where the file is damaged."""
        data = self._cache.read(_item(step))
        with self._damage_told(step):
            weights, header = safetensors.torch.load(data), _header(data)
            return FinishedStep(weights, _curve(header), json.loads(header["packages"]))

    def name(self, step: int) -> str:
        """The store's name of a step's file."""
        return self._cache.name(_item(step))

    @contextmanager
    def _damage_told(self, step: int) -> Iterator[None]:
        try:
            yield
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                self.name(step), "is damaged", f"Delete {self._cache.folder} in the store and train again."
            ) from error


def _header_length(data: bytes) -> int:
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if not 0 < length <= _MOST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    return length


def _header(data: bytes) -> dict[str, str]:
    """What the start of a safetensors file says beside its tensors."""
    header: dict[str, str] = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + _header_length(data)])["__metadata__"]
    return header


def _curve(header: dict[str, str]) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint(**point) for point in json.loads(header["curve"]))


def _item(step: int) -> str:
    return f"{_PREFIX}{step:06d}"
