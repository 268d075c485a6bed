"""Checkpoints: a training that can go on, as if nothing had happened.

Belongs here: the files of a checkpoint, and which of them are kept.

    <identity>/step-<step>/tensors.safetensors   adapter, its average, the optimizer's moments
    <identity>/step-<step>/curve.parquet          the curve so far, which also says which checkpoint is best

Learning rate, order of the data and all randomness are functions of the step, so the step is their state.
"""

import errno
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from director_diffusion.errors import StoreError, TrainingError
from director_diffusion.tables import read_table, write_table
from director_diffusion.tensors import joined, taken_apart
from director_diffusion.training.curve import best_checkpoint
from director_diffusion.training.rows import CurvePoint

KEPT = 2  # newest ones, beside the best


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a training has after `step` optimizer steps."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]  # by section, then by name
    curve: tuple[CurvePoint, ...]


class Checkpoints:
    """The checkpoints of one identity: a hash of all that a training depends on.  Those of others are not seen."""

    def __init__(self, folder: Path, identity: str):
        self._folder = folder / identity

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, visible only when whole; then drop what is neither among the newest nor the best."""
        partial = self._folder / f".part-{uuid.uuid4().hex}"
        with explain_full_disk("checkpoint", self._folder):
            try:
                partial.mkdir(parents=True)
                (partial / "tensors.safetensors").write_bytes(safetensors.torch.save(joined(checkpoint.tensors)))
                write_table(partial / "curve.parquet", CurvePoint, checkpoint.curve)
                shutil.rmtree(self._path(checkpoint.step), ignore_errors=True)  # a damaged one that was passed over
                partial.rename(self._path(checkpoint.step))
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        for step in self.steps()[:-KEPT]:
            if step != best_checkpoint(checkpoint.curve)[0]:
                shutil.rmtree(self._path(step))

    def steps(self) -> list[int]:
        """Steps of which there is a checkpoint, ascending."""
        return sorted(int(path.name.removeprefix("step-")) for path in self._folder.glob("step-*"))

    def newest(self) -> Checkpoint | None:
        """The newest one to go on from: whole, with the best before it still there."""
        for step in reversed(self.steps()):
            try:
                checkpoint = self.load(step)
                self.load(best_checkpoint(checkpoint.curve)[0])
            except TrainingError:
                continue
            return checkpoint
        return None

    def load(self, step: int) -> Checkpoint:
        """Raises TrainingError where it is damaged."""
        path = self._path(step)
        try:
            flat = safetensors.torch.load((path / "tensors.safetensors").read_bytes())
            curve = tuple(read_table(path / "curve.parquet", CurvePoint))
        except (FileNotFoundError, SafetensorError, StoreError, pa.ArrowInvalid) as error:
            raise TrainingError(
                f"checkpoint of step {step}", "is damaged", f"Delete {self._folder} and train again."
            ) from error
        return Checkpoint(step, taken_apart(flat), curve)

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:06d}"


@contextmanager
def explain_full_disk(thing: str, folder: Path) -> Iterator[None]:
    """Say what a full disk means for a training that keeps a `thing` in `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TrainingError(
                thing,
                f"could not be written: no space left in {folder}",
                "Free some space and run again; it goes on from the one before.",
            ) from error
        raise
