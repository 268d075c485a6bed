"""Encoding: kept stills through the VAE, each once.

Belongs here: one item per still and bucket, and the stage's table.  Buckets are chosen in `buckets`, pixels prepared in
`pixels`.

An item holds `mean` and `std` (C, h, w), float32; `psnr`, a scalar; and `preview` (H', W', 3), uint8: the decoded
mean, made small, so that the picture can be shown without the VAE.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from director_diffusion.errors import ModelError
from director_diffusion.families import get_family
from director_diffusion.families.base import Family, ImageCodec
from director_diffusion.hashing import hash_data, short
from director_diffusion.latents.buckets import Bucket, Fit, choose
from director_diffusion.latents.pixels import KeptStills, psnr, scaled, shrunk, to_image, to_tensor
from director_diffusion.latents.rows import ENCODING_VERSION, FILE, LatentRow
from director_diffusion.progress import Progress
from director_diffusion.specs import Base
from director_diffusion.stills.rows import Still
from director_diffusion.storage.items import ItemCache
from director_diffusion.tables import write_table
from director_diffusion.tensors import filled_up, read_whole_items, write_item

BATCH_PIXELS = 2**21  # two stills of a megapixel: enough to fill a GPU, and little beside its memory
MAX_BATCH = 16


@dataclass(frozen=True)
class _Plan:
    """A still, where it goes, and what its posterior is called."""

    still: Still
    fit: Fit

    @property
    def item(self) -> str:
        return f"{self.still.still}-{self.fit.bucket.width}x{self.fit.bucket.height}"


def latent_fingerprint(base: Base, source_fingerprint: str) -> str:
    """Names the cache of posteriors: same fingerprint, still and bucket, same posterior.

    The resolution is not part of it, since the bucket is part of an item's name: other buckets share what they can.
    """
    return short(hash_data({"encoding": ENCODING_VERSION, "family": base.family, "source": source_fingerprint}))


def encode_latents(
    still_set: KeptStills, base: Base, folder: Path, *, cache: ItemCache, device: str, out: Path, progress: Progress
) -> list[LatentRow]:
    """As `encode_pictures`, and writes `latents.parquet`."""
    rows = encode_pictures(still_set, base, folder, cache=cache, device=device, progress=progress)
    write_table(out / FILE, LatentRow, rows)
    return rows


def encode_pictures(
    still_set: KeptStills, base: Base, folder: Path, *, cache: ItemCache, device: str, progress: Progress
) -> list[LatentRow]:
    """Posteriors of all kept stills, in their order.

    The base's `folder` is read only if an item is missing, damaged or not finite. Raises StillsError for a still
    smaller than one cell, ModelError where the base's buckets do not suit its VAE.
    """
    plans = [_Plan(still, choose(still.width, still.height, base.resolution)) for still in still_set.kept]
    found = {item: _psnr_of(tensors) for item, tensors in read_whole_items(cache, [plan.item for plan in plans])}
    decibels = {item: value for item, value in found.items() if np.isfinite(value)}
    missing = list({plan.item: plan for plan in plans if plan.item not in decibels}.values())
    if missing:
        family = get_family(base.family)
        _check_multiple(family, base, folder)
        codec = family.load_codec(folder, device=device)
        with progress.task("latents", total=len(missing)) as task:
            for batch in _batches(missing):
                for plan, tensors in zip(batch, _encode(codec, still_set, batch), strict=True):
                    write_item(cache, plan.item, tensors)
                    decibels[plan.item] = _psnr_of(tensors)
                    task.advance()
    return [_row(plan, cache, decibels[plan.item]) for plan in plans]


def _batches(plans: Sequence[_Plan]) -> Iterator[list[_Plan]]:
    """Plans of one bucket together, as many as fit."""
    groups: dict[Bucket, list[_Plan]] = {}
    for plan in plans:
        groups.setdefault(plan.fit.bucket, []).append(plan)
    for bucket, group in groups.items():
        size = _batch_size(bucket)
        yield from (group[start : start + size] for start in range(0, len(group), size))


def _batch_size(bucket: Bucket) -> int:
    return min(max(BATCH_PIXELS // (bucket.width * bucket.height), 1), MAX_BATCH)


def _encode(codec: ImageCodec, still_set: KeptStills, batch: Sequence[_Plan]) -> list[dict[str, Tensor]]:
    """The items of stills that share a bucket."""
    pixels = torch.stack([to_tensor(scaled(still_set.open(plan.still), plan.fit)) for plan in batch])
    mean, std = codec.encode(filled_up(pixels, _batch_size(batch[0].fit.bucket)))
    decoded, mean, std = codec.decode(mean).cpu(), mean.cpu(), std.cpu()
    return [
        {
            "mean": mean[i],
            "std": std[i],
            "psnr": torch.tensor(psnr(pixels[i], decoded[i]) if std[i].isfinite().all() else torch.nan),
            "preview": torch.from_numpy(np.array(shrunk(to_image(decoded[i])))),
        }
        for i in range(len(batch))
    ]


def _psnr_of(item: dict[str, Tensor]) -> float:
    """An item's own judgement; NaN says that it holds something that is not finite."""
    return float(item["psnr"])


def _row(plan: _Plan, cache: ItemCache, decibels: float) -> LatentRow:
    return LatentRow(
        still=plan.still.still,
        film=plan.still.film,
        split=plan.still.split,
        width=plan.fit.bucket.width,
        height=plan.fit.bucket.height,
        cropped=plan.fit.cropped,
        scale=plan.fit.scale,
        original_width=plan.still.width,
        original_height=plan.still.height,
        crop_left=round(plan.fit.box[0] * plan.fit.scale),
        crop_top=round(plan.fit.box[1] * plan.fit.scale),
        item=plan.item,
        reference=cache.name(plan.item),
        psnr=decibels,
    )


def _check_multiple(family: Family, base: Base, folder: Path) -> None:
    factor = family.latent_factor(folder)
    if base.resolution.multiple % factor:
        raise ModelError(
            base.slug,
            f"has buckets in multiples of {base.resolution.multiple} pixels, but a latent cell is {factor} pixels wide",
            f"Make resolution.multiple a multiple of {factor} in the base's spec.",
        )
