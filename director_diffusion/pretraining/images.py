"""Images: sets of image files as training data.

Belongs here: from IDX files, a folder or the Hub to pictures of a base's size with their prompts.  IDX is parsed in
`idx`, a folder's files are listed by `image_folder` and decoded by `stills.decode`.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from director_diffusion.errors import DataError
from director_diffusion.hashing import hash_bytes
from director_diffusion.latents.buckets import Bucket, buckets, nearest_of
from director_diffusion.models.disk import explain_disk
from director_diffusion.models.hub import download_data
from director_diffusion.pretraining.data import Group, to_levels
from director_diffusion.pretraining.idx import read_idx
from director_diffusion.pretraining.image_folder import image_files
from director_diffusion.pretraining.specs import HubImages, IdxImages, ImageFolder
from director_diffusion.progress import Progress, track
from director_diffusion.specs import Resolution
from director_diffusion.stills.decode import UndecodableError, decode

MAX_MEGAPIXELS = 100.0
_NAMED = 3  # unusable files are named up to so many

Splits = tuple[list[Group], list[Group]]  # to train on, and held out


def load_images(
    data: IdxImages | ImageFolder | HubImages,
    resolution: Resolution,
    channels: int,
    *,
    root: Path,
    cache: Path,
    token: str | None,
    progress: Progress,
) -> Splits:
    """Pictures of `channels` channels to train on, and held out from it, in the resolution's buckets.

    Relative paths start from `root`; what comes from the Hub is kept in `cache`.  Raises DataError naming the file that
    cannot be used and why, and ModelError or TransientError where it cannot be downloaded.
    """
    shapes = buckets(resolution.side, resolution.multiple, resolution.aspects)
    if isinstance(data, IdxImages):
        return _from_idx(data, shapes, channels, root=root, progress=progress)
    if isinstance(data, HubImages):
        with explain_disk(cache):
            folder = download_data(data.repo, data.revision, data.folder, cache=cache, token=token)
        name = f"{data.repo}@{data.revision[:8]}/{data.folder}".rstrip("/")
    else:
        folder, name = root / Path(data.folder).expanduser(), data.folder
    return _from_folder(folder, name, data.held_out_share, shapes, channels, progress)


def fitted(image: Image.Image, shapes: Sequence[Bucket]) -> Image.Image:
    """The picture in the bucket nearest to its aspect.

    It is scaled down until it just covers the bucket, never up and never squashed: what stands over is cut away on both
    sides alike, what is lacking is black.
    """
    shape = nearest_of(shapes, image.width / image.height)
    scale = min(max(shape.width / image.width, shape.height / image.height), 1.0)
    width, height = min(image.width, shape.width / scale), min(image.height, shape.height / scale)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    if scale < 1:
        size = (min(round(width * scale), shape.width), min(round(height * scale), shape.height))
        image = image.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height))
    else:
        image = image.crop((int(left), int(top), int(left) + int(width), int(top) + int(height)))
    padded = Image.new(image.mode, (shape.width, shape.height))
    padded.paste(image, ((shape.width - image.width) // 2, (shape.height - image.height) // 2))
    return padded


# --- IDX ---------------------------------------------------------------------------------------------------------


def _from_idx(data: IdxImages, shapes: Sequence[Bucket], channels: int, *, root: Path, progress: Progress) -> Splits:
    images = read_idx(data.images, root=root, dimensions=3, available_at=data.available_at)
    labels = read_idx(data.labels, root=root, dimensions=1, available_at=data.available_at)
    if len(images) != len(labels):
        raise DataError(
            data.labels, f"has {len(labels)} labels for the {len(images)} images of {data.images}", "Give its own file."
        )
    if (highest := int(labels.max())) >= len(data.words):
        raise DataError(
            data.labels,
            f"holds the label {highest} (image {int(labels.argmax())}), but `words` name {len(data.words)}",
            "Name every label in the base's file, the first is 0.",
        )
    if data.held_out >= len(images):
        raise DataError(
            data.images, f"has {len(images)} images, of which {data.held_out} are held out", "Hold out fewer."
        )
    pictures = (Image.fromarray(image) for image in images)
    levels = torch.stack(
        [_levels(fitted(image, shapes), channels) for image in track(pictures, progress, "images", len(images))]
    )
    prompts = tuple(data.words[label] for label in labels)
    kept = len(images) - data.held_out
    held_out = [Group(levels[kept:], prompts[kept:])] if data.held_out else []
    return [Group(levels[:kept], prompts[:kept])], held_out


# --- folders -----------------------------------------------------------------------------------------------------


def _from_folder(
    folder: Path, name: str, held_out_share: float, shapes: Sequence[Bucket], channels: int, progress: Progress
) -> Splits:
    files = list(_split(folder, image_files(folder, name), held_out_share))
    splits: tuple[dict[tuple[int, int], list[tuple[Tensor, str]]], ...] = ({}, {})
    unusable: list[str] = []
    for path, label, held_out in track(files, progress, "images", len(files)):
        try:
            image = fitted(decode(path.read_bytes(), MAX_MEGAPIXELS).image, shapes)
        except (UndecodableError, OSError) as error:
            unusable.append(f"{path.relative_to(folder)} {error}")
            continue
        splits[held_out].setdefault(image.size, []).append((_levels(image, channels), label))
    if unusable:
        more = f" and {len(unusable) - _NAMED} more" if len(unusable) > _NAMED else ""
        raise DataError(
            name, f"has files that are no usable images: {'; '.join(unusable[:_NAMED])}{more}", "Mend or remove them."
        )
    if not splits[0]:
        raise DataError(name, "leaves no image to train on", "Hold out a smaller share.")
    train, held = (
        [
            Group(torch.stack([levels for levels, _ in rows]), tuple((label,) for _, label in rows))
            for _, rows in sorted(split.items())
        ]
        for split in splits
    )
    return train, held


def _split(folder: Path, files: Sequence[tuple[str, Path]], held_out_share: float) -> Iterator[tuple[Path, str, bool]]:
    """Every image file with its prompt, and whether it is held out: a share of each label, chosen by names."""
    for label, rows in groupby(files, key=itemgetter(0)):
        paths = [path for _, path in rows]
        order = sorted(paths, key=lambda path: hash_bytes(path.relative_to(folder).as_posix().encode()))
        held_out = set(order[: round(held_out_share * len(paths))])
        yield from ((path, label.replace("_", " "), path in held_out) for path in paths)


def _levels(image: Image.Image, channels: int) -> Tensor:
    return to_levels(image.convert("L" if channels == 1 else "RGB"))
