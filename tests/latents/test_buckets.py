"""Buckets: film's shapes at a pixel budget, nothing squashed, nothing enlarged, little cropped."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from director_diffusion.errors import StillsError
from director_diffusion.latents.buckets import Bucket, buckets, choose, count_buckets, fit
from director_diffusion.latents.rows import LatentRow
from director_diffusion.specs import Resolution

KREA = Resolution(side=1024, multiple=16, smaller_sides=(768, 512))
MINI = Resolution(side=64, multiple=8)

resolutions = st.builds(
    lambda cells, multiple, halvings: Resolution(
        side=cells * multiple, multiple=multiple, smaller_sides=tuple(cells * multiple // 2**i for i in halvings)
    ),
    cells=st.integers(8, 80),
    multiple=st.sampled_from((8, 16, 32)),
    halvings=st.sampled_from(((), (1,), (1, 2))),
)


@settings(deadline=None)
@given(width=st.integers(32, 9000), height=st.integers(32, 9000), resolution=resolutions)
def test_a_still_is_never_enlarged_nor_squashed(width: int, height: int, resolution: Resolution) -> None:
    chosen = choose(width, height, resolution)
    left, top, right, bottom = chosen.box
    assert chosen.scale <= 1
    assert chosen.bucket.width % resolution.multiple == 0
    assert chosen.bucket.height % resolution.multiple == 0
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left) * chosen.scale == pytest.approx(chosen.bucket.width, rel=1e-6)
    assert (bottom - top) * chosen.scale == pytest.approx(chosen.bucket.height, rel=1e-6)
    assert chosen.cropped == pytest.approx(1 - (right - left) * (bottom - top) / (width * height), abs=1e-9)
    assert (left, top) == pytest.approx((width - right, height - bottom), abs=1e-6)  # about the centre


@settings(deadline=None)
@given(aspect=st.floats(0.25, 4.0), height=st.integers(1200, 5000))
def test_a_large_still_of_any_usual_shape_loses_a_few_percent_at_most_and_fills_the_budget(
    aspect: float, height: int
) -> None:
    chosen = choose(max(round(height * aspect), 1200), height, KREA)
    assert chosen.cropped <= KREA.max_cropped
    assert chosen.bucket.width * chosen.bucket.height == pytest.approx(KREA.side**2, rel=0.3)


@pytest.mark.parametrize("resolution", [KREA, MINI])
@pytest.mark.parametrize("aspect", [2.39, 2.0, 1.85, 1.78, 1.66, 1.33, 1.0, 0.8, 0.56])
def test_film_shapes_have_buckets_of_their_own(resolution: Resolution, aspect: float) -> None:
    (bucket,) = buckets(resolution.side, resolution.multiple, (aspect,))
    assert bucket.aspect == pytest.approx(aspect, rel=0.05)
    chosen = choose(round(2000 * math.sqrt(aspect)), round(2000 / math.sqrt(aspect)), resolution)
    assert chosen.bucket == bucket
    assert chosen.cropped <= 0.05


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((1920, 804), Bucket(1568, 656)),  # scope from full HD: the full budget
        ((1280, 720), Bucket(1024, 576)),  # too small for it: the middle one
        ((1024, 436), Bucket(800, 336)),  # the smallest
        ((400, 300), Bucket(384, 288)),  # smaller than all: the largest that fits
        ((3000, 2000), Bucket(1264, 848)),  # no shape of film: one of its own
    ],
)
def test_a_small_still_goes_to_a_smaller_budget(size: tuple[int, int], bucket: Bucket) -> None:
    assert choose(*size, KREA).bucket == bucket


def test_a_still_too_extreme_for_any_bucket_is_cropped_not_refused() -> None:
    chosen = choose(10_000, 600, KREA)
    assert chosen.bucket.aspect == pytest.approx(5, rel=0.03)
    assert chosen.cropped > 0.5


def test_a_still_below_one_cell_is_an_error_with_a_way_out() -> None:
    with pytest.raises(StillsError, match=r"12 × 400 pixels.*min_side"):
        choose(12, 400, KREA)


def test_counts_by_bucket() -> None:
    def row(still: str, split: str, width: int, height: int, cropped: float) -> LatentRow:
        return LatentRow(still, "film", split, width, height, cropped, 0.5, 0, 0, 0, 0, still, still, 30.0)  # type: ignore[arg-type]

    counts = count_buckets(
        [row("a", "train", 64, 64, 0.0), row("b", "held_out", 96, 40, 0.02), row("c", "train", 96, 40, 0.01)]
    )
    assert [(count.bucket, count.train, count.untrained, count.most_cropped) for count in counts] == [
        (Bucket(96, 40), 1, 1, 0.02),
        (Bucket(64, 64), 1, 0, 0.0),
    ]


def test_fit_crops_the_sides_that_stand_over() -> None:
    found = fit(200, 100, Bucket(50, 50))
    assert (found.scale, found.cropped, found.box) == (0.5, 0.5, (50, 0, 150, 100))
