"""Snapshots: a training from scratch that can go on as if nothing had happened.

Belongs here: the one file of a snapshot, and which of them are kept.  The file is replaced whole: a kill leaves the one
before.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from director_diffusion.tensors import joined, taken_apart
from director_diffusion.training.checkpoint import explain_full_disk

KEPT = 2


@dataclass(frozen=True)
class Snapshot:
    """Everything that a training has after `step` optimizer steps."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]  # by section, then by name


def save_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write a snapshot, visible only when whole; then drop all but the newest.  Raises TrainingError on a full disk."""
    partial = folder / f".part-{os.getpid()}"
    with explain_full_disk("snapshot", folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(safetensors.torch.save(joined(snapshot.tensors)))
            partial.replace(_path(folder, snapshot.step))
        finally:
            partial.unlink(missing_ok=True)
    for step in snapshot_steps(folder)[:-KEPT]:
        _path(folder, step).unlink()


def snapshot_steps(folder: Path) -> list[int]:
    """Steps of which there is a snapshot, ascending."""
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("step-*.safetensors"))


def newest_snapshot(folder: Path) -> Snapshot | None:
    """The newest whole one; a damaged one is passed over."""
    for step in reversed(snapshot_steps(folder)):
        try:
            flat = safetensors.torch.load(_path(folder, step).read_bytes())
        except SafetensorError:
            continue
        return Snapshot(step, taken_apart(flat))
    return None


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:07d}.safetensors"
