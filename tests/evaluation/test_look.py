"""Look: statistics of colour, light and framing, and distances between them."""

import numpy as np
import pytest
from PIL import Image

from director_diffusion.evaluation.encoders.look import (
    BIN_WIDTHS,
    BINS,
    COLOUR,
    DIMENSIONS,
    DIRECTIONS,
    FRAMING,
    LOW,
    LUMA_CONTRAST,
    LUMA_MEAN,
    LookEncoder,
    lab,
)
from director_diffusion.evaluation.metrics.look import (
    colour_distance,
    contrast_distance,
    framing_distance,
    luma_distance,
)


def picture(levels):
    return Image.fromarray(np.asarray(levels, dtype=np.uint8))


def plain(*colour, size=(96, 54)):
    return Image.new("RGB", size, colour)


def looks(*images):
    return LookEncoder().images(images)


def halves(left, right):
    levels = np.empty((60, 60, 3))
    levels[:, :30], levels[:, 30:] = left, right
    return picture(levels)


def test_lab_is_that_of_the_published_primaries():
    found = lab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]], dtype=np.uint8))
    # Lindbloom's calculator, sRGB, D65.
    assert found == pytest.approx(
        np.array([[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]]), abs=0.02
    )


def test_all_colours_of_srgb_have_a_bin_of_their_own():
    levels = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), axis=-1).astype(np.uint8)
    places = (lab(levels).reshape(-1, 3) @ DIRECTIONS.T - LOW) / BIN_WIDTHS
    assert places.min() > -0.01
    assert places.max() < BINS + 0.01
    assert len(DIRECTIONS) == 13


def test_vectors_hold_histograms_luma_and_framing():
    found = looks(plain(10, 20, 30), halves((0, 0, 0), (255, 255, 255)))
    assert found.shape == (2, DIMENSIONS)
    assert found.dtype == np.float32
    assert found[:, COLOUR].reshape(2, 13, BINS).sum(axis=2) == pytest.approx(np.ones((2, 13)))
    assert found[0, LUMA_MEAN] == pytest.approx((0.2126 * 10 + 0.7152 * 20 + 0.0722 * 30) / 255)
    assert found[1, [LUMA_MEAN, LUMA_CONTRAST]] == pytest.approx([0.5, 0.5], abs=0.02)
    assert found[0, FRAMING] == pytest.approx([1 / 9] * 9)
    assert found[1, FRAMING].reshape(3, 3)[:, 1].sum() == pytest.approx(1)  # the only edge stands in the middle


def test_colour_distance_is_the_shift_along_the_directions():
    """Of two greys it is their difference in L, seen along each direction, up to a bin's width."""
    dark, light = plain(60, 60, 60), plain(150, 150, 150)
    shift = lab(np.array([150] * 3, dtype=np.uint8)) - lab(np.array([60] * 3, dtype=np.uint8))
    expected = np.abs(DIRECTIONS @ shift).mean()
    assert colour_distance(looks(dark), looks(light)) == pytest.approx([expected], abs=BIN_WIDTHS.mean())
    assert colour_distance(looks(dark), looks(dark)) == pytest.approx([0])


def test_colour_distance_sees_which_colour_goes_with_which_light():
    """Teal shadows under orange lights, or the other way round: lightness and each opponent axis are nearly alike."""
    warm_lights = halves((0, 60, 70), (250, 180, 120))
    cool_lights = halves((90, 40, 10), (130, 215, 230))
    near = halves((0, 66, 76), (244, 174, 114))
    to_warm = colour_distance(looks(cool_lights, near), looks(warm_lights))
    assert to_warm[0] > 3 * to_warm[1]


def test_distances_are_to_the_mean_of_the_references():
    references = looks(plain(100, 100, 100), plain(200, 200, 200))
    found = luma_distance(looks(plain(150, 150, 150), plain(0, 0, 0)), references)
    assert found == pytest.approx([0, 150 / 255], abs=1e-6)
    assert contrast_distance(looks(halves((0, 0, 0), (255, 255, 255))), references) == pytest.approx([0.5], abs=0.02)


def test_framing_distance_is_the_share_of_edges_that_would_have_to_move():
    left, right = np.full((60, 60, 3), 128), np.full((60, 60, 3), 128)
    left[5:15, 5:15] = right[5:15, 45:55] = 255
    found = framing_distance(looks(picture(left), picture(right)), looks(picture(left)))
    assert found == pytest.approx([0, 1], abs=1e-6)


def test_size_and_aspect_hardly_count():
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, size=(9, 16, 3), dtype=np.uint8)).resize((160, 90), 3)
    large = small.resize((960, 540), Image.Resampling.BICUBIC)
    other = Image.fromarray(rng.integers(0, 256, size=(9, 16, 3), dtype=np.uint8)).resize((160, 90), 3)
    reference = looks(large)
    for distance in (colour_distance, luma_distance, contrast_distance, framing_distance):
        near, far = distance(looks(small, other), reference)
        assert near < max(far / 3, 1e-3), distance.__name__
