"""Finished parts, kept content-addressed: an edited captioner does not train the VAE again.

Belongs here: the layout in the store.  A part is written once and visible when whole:

    cache/parts/<part>-<key>/files/…            what the real loader reads
    cache/parts/<part>-<key>/grids/<step>.png   sample grids through training
    cache/parts/<part>-<key>/part.json          written last
"""

import io
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

from PIL import Image
from pydantic import BaseModel, ConfigDict

from director_diffusion.pretraining.keys import PartName
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import StoredFile, describe_files

RECORD = "part.json"


class PartRecord(BaseModel):
    """What `part.json` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    part: PartName
    key: str
    files: tuple[StoredFile, ...]
    grids: tuple[int, ...]  # steps
    parameters: int
    steps: int
    seconds: float
    device: str
    packages: dict[str, str]

    @property
    def facts(self) -> dict[str, int | float]:
        """What the UI and the card tell of it."""
        return {
            "parameters": self.parameters,
            "MB": round(sum(file.size for file in self.files) / 1e6, 2),
            "steps": self.steps,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class FinishedPart:
    """One finished part in the store."""

    store: Store
    record: PartRecord

    @property
    def folder(self) -> str:
        return part_folder(self.record.part, self.record.key)

    def local_folder(self, copy: Path) -> Path:
        """A local folder with the part's files, to be read only: itself where the store is local, else `copy`."""
        if self.store.local_root is not None:
            return Path(self.store.full(f"{self.folder}/files"))
        self.copy_to(copy)
        return copy

    def copy_to(self, folder: Path) -> None:
        for file in self.record.files:
            target = folder / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.store.read_known(f"{self.folder}/files/{file.name}", file.sha256))

    def grids(self, most: int) -> Iterator[tuple[int, Image.Image]]:
        """Sample grids, by step, ascending: the last, and others spread evenly over the training."""
        steps = self.record.grids
        last = len(steps) - 1
        chosen = {last - round(last * place / max(most - 1, 1)) for place in range(most)} if steps else set()
        for step in (steps[index] for index in sorted(chosen)):
            yield step, Image.open(io.BytesIO(self.store.read(f"{self.folder}/grids/{grid_name(step)}")))


def part_folder(part: PartName, key: str) -> str:
    """Folder of a finished part in the store; `key` is the part's (`pretraining.keys`)."""
    return f"cache/parts/{part}-{key}"


def grid_name(step: int) -> str:
    """File of a sample grid, by the step of its training: names sort as steps do."""
    return f"{step:07d}.png"


def count_parameters(path: Path) -> int:
    """Numbers in a safetensors file, by its header alone."""
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def find_part(store: Store, part: PartName, key: str) -> FinishedPart | None:
    """The whole part of that key, or None; None too where a file of it has gone."""
    folder = part_folder(part, key)
    found = store.read_those([f"{folder}/{RECORD}"])
    if not found:
        return None
    record = PartRecord.model_validate_json(*found.values())
    sizes = store.sizes(folder)
    whole = all(sizes.get(f"files/{file.name}") == file.size for file in record.files)
    shown = all(f"grids/{grid_name(step)}" in sizes for step in record.grids)
    return FinishedPart(store, record) if whole and shown else None


def keep_part(
    store: Store,
    part: PartName,
    key: str,
    *,
    files: Path,
    grids: Path,
    steps: int,
    seconds: float,
    device: str,
    packages: dict[str, str],
) -> FinishedPart:
    """Copy a part's local `files` and the sample `grids` into the store; the record last.

    A whole one that another maker put there in the meantime stays, since somebody may be reading it.
    """
    there = find_part(store, part, key)
    if there is not None:
        return there
    shown = sorted(grids.glob("*.png"))
    record = PartRecord(
        part=part,
        key=key,
        files=describe_files(files),
        grids=tuple(int(path.stem) for path in shown),
        parameters=sum(count_parameters(path) for path in files.rglob("*.safetensors")),
        steps=steps,
        seconds=round(seconds, 1),
        device=device,
        packages=packages,
    )
    finished = FinishedPart(store, record)
    store.delete(finished.folder)  # what is left of one that lost a file
    for file in record.files:
        store.put(files / file.name, f"{finished.folder}/files/{file.name}")
    for path in shown:
        store.put(path, f"{finished.folder}/grids/{path.name}")
    store.write(f"{finished.folder}/{RECORD}", record.model_dump_json(indent=1).encode())
    return finished
