"""Keys: what a part of a base trained here depends on, known before any work.

Belongs here: the parts, their order, and the hash that names a finished one.  Imports no torch, so that keys can be
computed without it.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, assert_never

from director_diffusion.hashing import hash_data, short
from director_diffusion.models.folder import fingerprint_files, fingerprint_folder
from director_diffusion.models.source import memo_of
from director_diffusion.pretraining.idx import opened
from director_diffusion.pretraining.image_folder import image_files
from director_diffusion.pretraining.part_run import trained_here
from director_diffusion.pretraining.specs import (
    Data,
    DrawnScenes,
    HubImages,
    IdxImages,
    ImageFolder,
    PartTraining,
    VaeFolder,
)
from director_diffusion.specs import Base

PartName = Literal["vae", "denoiser", "captioner", "embedder", "style_encoder"]

PARTS: tuple[PartName, ...] = ("vae", "denoiser", "captioner", "embedder", "style_encoder")
"""In the order in which they can be made."""

STANDS_ON: Mapping[PartName, tuple[PartName, ...]] = {"denoiser": ("vae",)}

VERSIONS: Mapping[PartName | Literal["drawn_scenes"], str] = {
    "drawn_scenes": "1",
    "vae": "1",
    "denoiser": "1",
    "captioner": "1",
    "embedder": "1",
    "style_encoder": "1",
}
"""Raised by hand when the same spec would give another result."""

SHOWS = {"checkpoint_every", "preview_every", "preview_steps"}
"""Of a part: what people see of its training, and how much of it a kill can cost; no weight hangs on them."""

PLACES = {"images", "labels", "folder", "available_at"}
"""Of data on this machine: where it lies.  What it is, `data_fingerprint` says."""


def parts_of(base: Base) -> list[PartName]:
    """The parts that a base's spec names, in the order in which they can be made."""
    spec = trained_here(base)
    return [name for name in PARTS if isinstance(getattr(spec, name), PartTraining)]


def part_keys(base: Base, *, root: Path, cache: Path) -> dict[PartName, str]:
    """Key by part; `root`, `cache` and what is raised are as for `data_fingerprint`.

    Raises ModelError too, where a VAE's folder holds none.
    """
    spec, keys = trained_here(base), dict[PartName, str]()
    shared = {
        "seed": spec.seed,
        "channels": spec.channels,
        "pictures": _pictures(spec.data),
        "data": data_fingerprint(spec.data, root=root, cache=cache),
        "resolution": base.resolution.model_dump(mode="json", include={"side", "multiple", "aspects"}),
    }
    under: dict[PartName, str] = {}
    if isinstance(spec.vae, VaeFolder):
        under["vae"] = fingerprint_folder(root / Path(spec.vae.folder).expanduser(), memo=memo_of(cache))
    for name in parts_of(base):
        keys[name] = under[name] = short(
            hash_data(
                {
                    "version": VERSIONS[name],
                    "part": getattr(spec, name).model_dump(mode="json", exclude=SHOWS),
                    "shared": shared,
                    "on": {part: under[part] for part in STANDS_ON.get(name, ()) if part in under},
                }
            )
        )
    return keys


def _pictures(data: Data) -> dict[str, object]:
    """What a data source's spec says of the pictures that are trained on."""
    if isinstance(data, DrawnScenes):
        return data.model_dump(mode="json", exclude={"held_out"})  # drawn beside the others, for previews
    if isinstance(data, HubImages):
        return data.model_dump(mode="json")
    return data.model_dump(mode="json", exclude=PLACES)


def data_fingerprint(data: Data, *, root: Path, cache: Path) -> str:
    """What names the content of a data source.  Raises DataError where it is absent.

    `root` is what relative places start from, `cache` keeps the memo of files hashed before.
    """
    match data:
        case DrawnScenes():
            return VERSIONS["drawn_scenes"]
        case IdxImages():
            return hash_data([_hash_file(place, data, root) for place in (data.images, data.labels)])
        case ImageFolder():
            folder = root / Path(data.folder).expanduser()
            files = {path.relative_to(folder).as_posix(): path for _, path in image_files(folder, data.folder)}
            return fingerprint_files(files, memo=memo_of(cache))
        case HubImages():
            return f"{data.repo}@{data.revision}"
        case _:
            assert_never(data)


def _hash_file(place: str, data: IdxImages, root: Path) -> str:
    with opened(place, root=root, available_at=data.available_at) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
