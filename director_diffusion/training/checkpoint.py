"""Checkpoints: a training that can go on, as if nothing had happened.

Belongs here: the files of a checkpoint, and which of them are kept.

    <identity>/step-<step>/tensors.safetensors   adapter, its average, the optimizer's state
    <identity>/step-<step>/curve.parquet          the curve so far
    <identity>/step-<step>/identity.json          what is trained: recipe, base, data

Schedule, sampler position and the state of every generator are functions of the step by design (`schedule`, `batches`),
so the step is their state, and a training goes on the same on whichever machine and however it had ended.
"""

import errno
import json
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
from director_diffusion.storage.store import Store
from director_diffusion.storage.work import WorkCopy
from director_diffusion.tables import read_table, write_table
from director_diffusion.tensors import joined, taken_apart
from director_diffusion.training.identity import Identity, tell
from director_diffusion.training.rows import CurvePoint

KEPT = 2  # newest ones


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a training has after `step` optimizer steps."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]  # by section, then by name
    curve: tuple[CurvePoint, ...]


class Checkpoints:
    """The checkpoints of one training, in a folder that it shares with others of the same director and recipe.

    Where the store is a bucket, it has copies of them, so that another machine can go on.
    """

    def __init__(self, folder: Path, identity: Identity, store: Store):
        self._root, self._identity = folder, identity
        self._folder = folder / identity.short
        self._copies, self._copies_of_all = WorkCopy(store, self._folder), WorkCopy(store, folder)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, visible only when whole; then drop the older ones."""
        partial = self._folder / f".part-{uuid.uuid4().hex}"
        with explain_full_disk("checkpoint", self._folder):
            try:
                for left in self._folder.glob(".part-*"):  # by a kill
                    shutil.rmtree(left)
                partial.mkdir(parents=True)
                (partial / "tensors.safetensors").write_bytes(safetensors.torch.save(joined(checkpoint.tensors)))
                write_table(partial / "curve.parquet", CurvePoint, checkpoint.curve)
                (partial / "identity.json").write_text(json.dumps(dict(self._identity.parts)), encoding="utf-8")
                shutil.rmtree(self._path(checkpoint.step), ignore_errors=True)  # a damaged one that was passed over
                partial.rename(self._path(checkpoint.step))
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        self._copies.send(self._path(checkpoint.step).name)
        for step in self.steps()[:-KEPT]:
            shutil.rmtree(self._path(step))
        kept = {self._path(step).name for step in self.steps()}
        for name in self._copies.names():
            if name not in kept:
                self._copies.delete(name)

    def steps(self) -> list[int]:
        """Steps of which there is a checkpoint, ascending."""
        return sorted(int(path.name.removeprefix("step-")) for path in self._folder.glob("step-*"))

    def newest(self) -> Checkpoint | None:
        """The newest one that is whole.  Raises TrainingError for one of another training that was put here."""
        here = self._path(max(self.steps(), default=-1)).name
        for name in self._copies.names():
            if name > here:  # another machine has gone on
                self._copies.fetch(name)
        for step in reversed(self.steps()):
            try:
                return self.load(step)
            except DamagedError:
                continue
        return None

    def load(self, step: int) -> Checkpoint:
        """Raises DamagedError for one that is not whole, TrainingError for one of another recipe, base or data."""
        path = self._path(step)
        try:
            flat = safetensors.torch.load((path / "tensors.safetensors").read_bytes())
            curve = tuple(read_table(path / "curve.parquet", CurvePoint))
            trained = json.loads((path / "identity.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, SafetensorError, StoreError, pa.ArrowInvalid, ValueError) as error:
            raise DamagedError(
                f"checkpoint of step {step}", "is damaged", f"Delete {self._folder} and train again."
            ) from error
        if differing := self._identity.differences(trained):
            raise TrainingError(
                f"checkpoint of step {step} in {self._folder}",
                f"is of another training: {tell(differing)}",
                "Undo that change to go on with it, or delete that folder to start anew.",
            )
        return Checkpoint(step, taken_apart(flat), curve)

    def of_others(self) -> dict[str, list[str]]:
        """What differs in the unfinished trainings beside this one, by their folders' names."""
        others = {}
        for path in sorted(self._root.glob("*/step-*/identity.json")):
            if path.parent.parent != self._folder:
                try:
                    trained = json.loads(path.read_text(encoding="utf-8"))
                except ValueError:
                    trained = {}  # damaged, and of no use to anyone
                others[path.parent.parent.name] = self._identity.differences(trained)
        return others

    def drop(self) -> None:
        """Drop this training's: it starts anew."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._copies.delete()

    def clear(self) -> None:
        """Drop this training's and all beside it: they are finished, or will not be."""
        shutil.rmtree(self._root, ignore_errors=True)
        self._copies_of_all.delete()

    def _path(self, step: int) -> Path:
        return self._folder / f"step-{step:06d}"


class DamagedError(TrainingError):
    """A checkpoint that a kill, a full disk or a failing one left."""


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
