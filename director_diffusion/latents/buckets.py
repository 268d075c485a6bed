"""Buckets: the few image sizes that a base is trained at, and which of them suits a still.

Belongs here: pure arithmetic on widths, heights and aspects (width over height), all in pixels.

A still is scaled uniformly and cropped about its centre, never squashed and never enlarged:

1. each pixel budget of the base (`side`², then `smaller_sides`²) has a bucket for every aspect of film, and, between
   and beyond these, buckets of other shapes, for stills of which film's would cut away too much;
2. a still goes to the largest budget that has a bucket it need not be enlarged for, at most `max_cropped` of it lost;
3. one that is too small for every budget gets the largest bucket that fits into it;
4. one of a shape so extreme that each bucket loses more than `max_cropped` gets the one that loses least.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from director_diffusion.errors import StillsError
from director_diffusion.latents.rows import LatentRow
from director_diffusion.specs import Resolution

MOST_EXTREME_ASPECT = 5.0  # wider (or, inverted, taller) stills are cropped to this
AREA_WEIGHT = 0.25  # what a relative difference in area counts, against a share of the still cut away


@dataclass(frozen=True, order=True)
class Bucket:
    """An image size; both sides are multiples of the resolution's `multiple`."""

    width: int
    height: int

    @property
    def aspect(self) -> float:
        return self.width / self.height


@dataclass(frozen=True)
class Fit:
    """How a still goes into a bucket."""

    bucket: Bucket
    scale: float  # bucket pixels per still pixel, at most 1
    cropped: float  # share of the still's area cut away
    box: tuple[float, float, float, float]  # left, top, right, bottom in the still: what is kept


def fit(width: int, height: int, bucket: Bucket) -> Fit:
    """Scale a still until it covers the bucket, and crop what stands over on both sides alike."""
    scale = max(bucket.width / width, bucket.height / height)
    kept_width, kept_height = min(bucket.width / scale, width), min(bucket.height / scale, height)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    cropped = 1 - kept_width * kept_height / (width * height)
    return Fit(bucket, scale, max(cropped, 0.0), (left, top, left + kept_width, top + kept_height))


def choose(width: int, height: int, resolution: Resolution) -> Fit:
    """The bucket for a still of this size.  Raises StillsError where it is smaller than one cell."""
    sides = sorted({resolution.side, *resolution.smaller_sides}, reverse=True)
    lossy: list[Fit] = []
    for side in sides:
        for aspects in (resolution.aspects, _other_aspects(resolution)):
            fits = [fit(width, height, bucket) for bucket in buckets(side, resolution.multiple, aspects)]
            fits = [candidate for candidate in fits if candidate.scale <= 1]
            lossy += fits
            close = [candidate for candidate in fits if candidate.cropped <= resolution.max_cropped]
            if close:
                return min(close, key=_least_cropped)
    if not lossy or width * height < sides[-1] ** 2:
        return _largest_within(width, height, resolution.multiple)
    return min(lossy, key=_least_cropped)


def nearest(resolution: Resolution, aspect: float) -> Bucket:
    """The bucket of the full budget whose shape is nearest to an aspect."""
    return nearest_of(buckets(resolution.side, resolution.multiple, resolution.aspects), aspect)


def nearest_of(shapes: Iterable[Bucket], aspect: float) -> Bucket:
    """The one whose shape is nearest to an aspect."""
    return min(shapes, key=lambda shape: abs(math.log(shape.aspect / aspect)))


@lru_cache(maxsize=256)
def buckets(side: int, multiple: int, aspects: tuple[float, ...]) -> tuple[Bucket, ...]:
    """The buckets of one pixel budget (side²), one for each aspect, in their order, each once.

    Multiples seldom give aspect and budget exactly; a bucket is the best of both, within a quarter of the budget.
    """
    return tuple(dict.fromkeys(_bucket(side, multiple, aspect) for aspect in aspects))


def _bucket(side: int, multiple: int, aspect: float) -> Bucket:
    ideal = side / math.sqrt(aspect)  # height
    rows = range(max(math.floor(0.8 * ideal / multiple), 1), math.ceil(1.25 * ideal / multiple) + 1)
    candidates = [
        Bucket(columns * multiple, row * multiple) for row in rows for columns in _whole_numbers_around(row * aspect)
    ]
    return min(candidates, key=lambda bucket: _cost(bucket, aspect, area=side * side))


def _largest_within(width: int, height: int, multiple: int) -> Fit:
    """The best bucket inside a still that is too small for every budget."""
    if min(width, height) < multiple:
        raise StillsError(
            f"a still of {width} × {height} pixels",
            f"is smaller than the {multiple} pixels that the base needs at least",
            "Raise `min_side` in the director's `stills`, so that such stills are rejected.",
        )
    aspect = min(max(width / height, 1 / MOST_EXTREME_ASPECT), MOST_EXTREME_ASPECT)
    most_columns, most_rows = width // multiple, height // multiple
    candidates = [
        Bucket(columns * multiple, row * multiple)
        for row in range(1, most_rows + 1)
        for columns in {min(columns, most_columns) for columns in _whole_numbers_around(row * aspect)}
    ]
    return fit(width, height, min(candidates, key=lambda bucket: _cost(bucket, aspect, area=width * height)))


def _whole_numbers_around(value: float) -> tuple[int, int]:
    return max(math.floor(value), 1), max(math.ceil(value), 1)


def _cost(bucket: Bucket, aspect: float, *, area: int) -> float:
    """How far a bucket is from a shape (share cut away) and from an area (relative difference), as one number."""
    cut = 1 - min(aspect / bucket.aspect, bucket.aspect / aspect)
    return cut + AREA_WEIGHT * abs(math.log(bucket.width * bucket.height / area))


def _other_aspects(resolution: Resolution) -> tuple[float, ...]:
    """Aspects between and beyond those of film, so close that the nearest costs a still at most half of `max_cropped`;
    the other half is for rounding to multiples."""
    step = -2 * math.log(1 - max(resolution.max_cropped, 0.01) / 2)
    reach = math.log(MOST_EXTREME_ASPECT)
    knots = [-reach, *sorted(math.log(aspect) for aspect in resolution.aspects), reach]
    found = []
    for low, high in itertools.pairwise(knots):
        parts = max(math.ceil((high - low) / step), 1)
        found += [math.exp(low + (high - low) * part / parts) for part in range(parts + 1)]
    return tuple(dict.fromkeys(found))


def _least_cropped(candidate: Fit) -> tuple[float, float]:
    return candidate.cropped, -candidate.scale


@dataclass(frozen=True)
class BucketCount:
    """A line of the preview table."""

    bucket: Bucket
    train: int
    untrained: int
    most_cropped: float  # share


def count_buckets(rows: Iterable[LatentRow]) -> list[BucketCount]:
    """How many stills went into each bucket, widest first."""
    groups: dict[Bucket, list[LatentRow]] = {}
    for row in rows:
        groups.setdefault(Bucket(row.width, row.height), []).append(row)
    counts = [
        BucketCount(
            bucket=bucket,
            train=sum(row.split == "train" for row in group),
            untrained=sum(row.split in ("validation", "held_out") for row in group),
            most_cropped=max(row.cropped for row in group),
        )
        for bucket, group in groups.items()
    ]
    return sorted(counts, key=lambda count: (-count.bucket.aspect, -count.bucket.width))
