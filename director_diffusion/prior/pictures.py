"""Pictures: what the bare base makes of captions without the trigger (Ruiz et al. 2023).

Belongs here: which are drawn, at which size, and drawing those that are not there yet.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from director_diffusion.captions.rows import Caption
from director_diffusion.errors import TrainingError
from director_diffusion.families import painter_of
from director_diffusion.families.base import Painter
from director_diffusion.hashing import hash_bytes, hash_data, short
from director_diffusion.latents.buckets import Bucket, choose
from director_diffusion.progress import Progress
from director_diffusion.sampling.draw import image_cache, image_item
from director_diffusion.sampling.lots import draw_missing
from director_diffusion.sampling.samplers import Sampler
from director_diffusion.specs import Base, Prior, Resolution
from director_diffusion.stills.rows import Still
from director_diffusion.storage import ItemCache, Store

BATCH_PIXELS = 2**20  # a picture of a megapixel at a time, or more small ones
MAX_BATCH = 8


@dataclass(frozen=True)
class PriorPicture:
    """A picture that is asked for."""

    name: str
    full_prompt: str  # a train still's caption
    seed: int
    bucket: Bucket  # that still's

    @property
    def item(self) -> str:
        return image_item(self.full_prompt, self.seed)


def plan_pictures(
    stills: Sequence[Still], captions: Sequence[Caption], prior: Prior, resolution: Resolution
) -> list[PriorPicture]:
    """One picture for each of some captioned train stills, in its bucket; for all of them again where that is too few.

    Raises TrainingError where no train still has a caption.
    """
    sizes = {still.still: (still.width, still.height) for still in stills}
    captioned = [caption for caption in captions if caption.split == "train" and caption.text]
    if not captioned:
        raise TrainingError(
            "prior preservation", "finds no train still with a caption to draw", "Caption stills, or leave `prior` out."
        )
    # Any few of a film's stills are alike: these come from all over.
    order = sorted(captioned, key=lambda caption: hash_data([prior.seed, caption.still]))
    return [
        PriorPicture(
            name=f"prior-{number:03d}",
            full_prompt=caption.text,
            seed=prior.seed + number,
            bucket=choose(*sizes[caption.still], resolution).bucket,
        )
        for number, caption in ((number, order[number % len(order)]) for number in range(prior.pictures))
    ]


def draw_pictures(
    asked: Sequence[PriorPicture],
    base: Base,
    folder: Path,
    *,
    steps: int,
    base_fingerprint: str,
    store: Store,
    device: str,
    progress: Progress,
) -> list[Still]:
    """A still for each, in their order, whose pixels are the store's; drawn with the base's own guidance.

    `folder` is read only if a picture is missing.
    """
    painters: list[Painter] = []

    def painter() -> Painter:
        if not painters:
            painters.append(painter_of(base, folder, device=device))
        return painters[0]

    caches: dict[Bucket, ItemCache] = {}
    with progress.task("drawing the prior", len(asked)) as task:
        for bucket, group in _by_bucket(asked).items():
            sampler = Sampler(bucket.width, bucket.height, steps, base.guidance.sample)
            caches[bucket] = image_cache(store, base, sampler, base_fingerprint)
            size = min(max(BATCH_PIXELS // (bucket.width * bucket.height), 1), MAX_BATCH)
            draw_missing(group, caches[bucket], sampler, size, painter, task)
    return [_still(one, caches[one.bucket]) for one in asked]


def _by_bucket(asked: Iterable[PriorPicture]) -> dict[Bucket, list[PriorPicture]]:
    groups: dict[Bucket, list[PriorPicture]] = {}
    for one in asked:
        groups.setdefault(one.bucket, []).append(one)
    return groups


def _still(picture: PriorPicture, cache: ItemCache) -> Still:
    """A picture as a still, whose id says its content."""
    digest = hash_bytes(cache.read(picture.item))
    return Still(
        still=f"drawn-{short(digest)}",
        film="prior",
        name=f"{picture.name}.png",
        sha256=digest,
        status="kept",
        reason="",
        warnings=(),
        split="none",
        width=picture.bucket.width,
        height=picture.bucket.height,
        crop=(),
        reference=cache.name(picture.item),
        file="",
        phash="",
        cluster=0,
    )
