"""The same picture is recognised; different ones are not."""

import time
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from director_diffusion.stills.similarity import Look, clusters, distance, near_duplicates, perceptual_hash

Scene = Callable[..., Image.Image]


def test_the_hash_survives_what_does_not_change_the_picture(scene: Scene, encode: Callable[..., bytes]) -> None:
    picture = scene(1, (1280, 720))
    expected = perceptual_hash(picture)
    assert len(expected) == 16
    versions = [
        picture.resize((160, 90), Image.Resampling.BOX),
        picture.resize((1920, 1080), Image.Resampling.BICUBIC),
        Image.open(BytesIO(encode(picture, "JPEG", quality=30))),
        ImageEnhance.Brightness(picture).enhance(0.85),
        picture.convert("L").convert("RGB"),
        picture.crop((6, 4, 1274, 716)),
    ]
    assert max(distance(perceptual_hash(version), expected) for version in versions) <= 6


def test_different_pictures_are_far_apart(scene: Scene) -> None:
    hashes = [perceptual_hash(scene(seed)) for seed in range(40)]
    apart = [distance(one, other) for place, one in enumerate(hashes) for other in hashes[:place]]
    assert min(apart) > 10
    assert 26 < np.mean(apart) < 36


def look(phash: int, pixels: int = 100, sharpness: float = 1.0, order: str = "a") -> Look:
    return Look(f"{phash:016x}", pixels, sharpness, order)


def test_the_larger_then_the_sharper_of_duplicates_is_kept() -> None:
    assert near_duplicates([look(0), look(1, pixels=400)], 2) == {0: (1, 1)}
    assert near_duplicates([look(0), look(1, sharpness=5)], 2) == {0: (1, 1)}
    assert near_duplicates([look(0, order="b"), look(1, order="a")], 2) == {0: (1, 1)}
    assert near_duplicates([look(0), look(0b111)], 2) == {}
    assert near_duplicates([], 2) == {}


def test_a_slow_move_is_thinned_out_not_reduced_to_one_frame() -> None:
    frames = [look((1 << index) - 1, sharpness=100 - index) for index in range(12)]  # one more bit each
    out = near_duplicates(frames, 3)
    assert sorted(set(range(12)) - set(out)) == [0, 4, 8]


def test_clusters_link_what_is_near_through_others() -> None:
    phashes = [f"{value:016x}" for value in (0, 0b11, 0b1111, 0xFFFF0000)]
    assert clusters(phashes, 2) == [0, 0, 0, 1]
    assert clusters(phashes, 1) == [0, 1, 2, 3]
    assert clusters([], 2) == []


def test_many_stills_are_compared_quickly_be_they_alike_or_not() -> None:
    rng = np.random.default_rng(0)
    unlike = [look(int(value), order=f"{place}") for place, value in enumerate(rng.integers(0, 2**63, 6000))]
    alike = [f"{int(value):016x}" for value in rng.integers(0, 16, 3000)]  # 4.5 million pairs
    started = time.process_time()
    assert near_duplicates(unlike, 6) == {}
    assert len(set(clusters([one.phash for one in unlike], 10))) > 5900
    assert set(clusters(alike, 4)) == {0}
    assert time.process_time() - started < 4


@pytest.mark.parametrize(("one", "other", "bits"), [("0" * 16, "f" * 16, 64), ("0" * 15 + "1", "0" * 16, 1)])
def test_distance_counts_bits(one: str, other: str, bits: int) -> None:
    assert distance(one, other) == bits
