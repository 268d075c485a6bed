"""Bars are told from dark scenes, film by film; frames that show nothing are spotted."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFilter

from director_diffusion.stills.frames import FILM_ASPECTS, film_crops, is_badly_blurred, measure, shows_nothing

Scene = Callable[..., Image.Image]
FULL = (320, 180)


def letterboxed(picture: Image.Image, aspect: float, size: tuple[int, int] = FULL, level: int = 0) -> Image.Image:
    """`picture` scaled into black bars, as a player or an encoder shows it."""
    width, height = size
    inner = (width, round(width / aspect)) if aspect > width / height else (round(height * aspect), height)
    frame = Image.new("RGB", size, (level,) * 3)
    frame.paste(picture.resize(inner), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return frame


def as_jpeg(image: Image.Image, encode: Callable[..., bytes]) -> Image.Image:
    return Image.open(BytesIO(encode(image, "JPEG", quality=80))).convert("RGB")


def night(seed: int, size: tuple[int, int] = FULL) -> Image.Image:
    """A dark scene: one soft light in the middle, blackness at the edges."""
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    rng = np.random.default_rng(seed)
    light = 200 * np.exp(-((x - rng.uniform(-0.3, 0.3)) ** 2 + y**2) / 0.08)
    return Image.fromarray((light[..., None] * [1, 0.8, 0.6] + rng.uniform(0, 6)).clip(0, 255).astype(np.uint8))


def crops(images: list[Image.Image]) -> list[tuple[int, int, int, int]]:
    return film_crops([measure(image) for image in images])


def has_bars(aspect: float, size: tuple[int, int]) -> bool:
    """Whether a frame of that size shows that ratio with bars that leave half of it."""
    squeeze = aspect * size[1] / size[0]
    return abs(squeeze - 1) > 0.03 and 0.46 < squeeze < 1 / 0.46


@pytest.mark.parametrize("level", [0, 16])
@pytest.mark.parametrize(
    ("size", "aspect"),
    [
        (size, aspect)
        for size in [(1920, 1080), (320, 180), (720, 576)]
        for aspect in FILM_ASPECTS
        if has_bars(aspect, size)
    ],
)
def test_bars_of_every_ratio_are_removed(
    scene: Scene, encode: Callable[..., bytes], aspect: float, size: tuple[int, int], level: int
) -> None:
    width, height = size
    frames = [as_jpeg(letterboxed(scene(seed, (640, 360)), aspect, size, level), encode) for seed in range(3)]
    for left, top, right, bottom in crops(frames):
        assert abs((right - left) / (bottom - top) / aspect - 1) < 0.02
        assert (left, right) == (0, width) or (top, bottom) == (0, height)
        assert abs(left - (width - right)) <= 1
        assert abs(top - (height - bottom)) <= 1


def test_no_line_of_bar_is_left(scene: Scene) -> None:
    # 1920 × 800 is how 2.39 is often encoded: cropping to exactly 2.39 would leave two black lines.
    frame = letterboxed(scene(1, (1920, 800)), 2.4, (1920, 1080))
    assert crops([frame]) == [(0, 140, 1920, 940)]


def test_stills_without_bars_stay_whole(scene: Scene) -> None:
    assert crops([scene(seed) for seed in range(3)]) == [(0, 0, *FULL)] * 3


def test_dark_scenes_are_not_mistaken_for_bars() -> None:
    assert crops([night(seed) for seed in range(5)]) == [(0, 0, *FULL)] * 5
    assert crops([night(0)]) == [(0, 0, *FULL)]
    assert crops([Image.new("RGB", FULL)]) == [(0, 0, *FULL)]


def test_a_dark_scene_follows_its_film(scene: Scene) -> None:
    day = [letterboxed(scene(seed), 2.39) for seed in range(3)]
    dark = letterboxed(night(1), 2.39)
    black = Image.new("RGB", FULL)
    found = crops([*day, dark, black])
    assert len(set(found)) == 1
    assert found[0] == (0, 23, 320, 157)


def test_a_dark_scene_in_a_film_without_bars_stays_whole(scene: Scene) -> None:
    assert crops([*(scene(seed) for seed in range(3)), night(1)]) == [(0, 0, *FULL)] * 4


def test_one_letterboxed_still_is_outvoted(scene: Scene) -> None:
    frames = [*(scene(seed) for seed in range(4)), letterboxed(scene(9), 2.39)]
    assert crops(frames) == [(0, 0, *FULL)] * 5


def test_a_whole_picture_in_a_letterboxed_film_loses_nothing(scene: Scene) -> None:
    found = crops([*(letterboxed(scene(seed), 2.39) for seed in range(4)), scene(9)])
    assert found[:4] == [(0, 23, 320, 157)] * 4
    assert found[4] == (0, 0, *FULL)


def test_a_film_may_change_its_ratio(scene: Scene) -> None:
    scope = [letterboxed(scene(seed), 2.39) for seed in range(4)]
    academy = [letterboxed(scene(seed), 1.37) for seed in range(4, 7)]
    found = crops([*scope, *academy, *(scene(seed) for seed in range(8, 10))])
    assert found[:4] == [(0, 23, 320, 157)] * 4
    assert {right - left for left, _, right, _ in found[4:7]} == {247}
    assert found[7:] == [(0, 0, *FULL)] * 2


def test_sizes_may_differ_within_a_film(scene: Scene) -> None:
    found = crops([letterboxed(scene(1), 2.0), letterboxed(scene(2), 2.0, (1280, 720))])
    assert found == [(0, 10, 320, 170), (0, 40, 1280, 680)]


def test_bars_on_all_sides(scene: Scene) -> None:
    frame = Image.new("RGB", (640, 360))
    frame.paste(scene(1).resize((480, 260)), (80, 50))  # 1.85 in 1.33 in 1.78
    assert crops([frame]) == [(80, 50, 560, 310)]


def test_a_dark_table_at_the_bottom_is_no_bar(scene: Scene) -> None:
    frame = scene(1)
    frame.paste((5, 5, 5), (0, 140, 320, 180))
    assert crops([frame]) == [(0, 0, *FULL)]


def test_frames_that_show_nothing() -> None:
    rng = np.random.default_rng(0)
    noisy_black = Image.fromarray(rng.integers(0, 16, (90, 160, 3), dtype=np.uint8))
    assert shows_nothing(noisy_black) == "is a black frame"
    assert shows_nothing(Image.new("RGB", (160, 90), (30, 90, 200))) == "is a frame of one solid colour"
    assert shows_nothing(Image.new("RGB", (160, 90), "white")) == "is a frame of one solid colour"
    two = Image.new("RGB", (160, 90), (220, 0, 0))
    two.paste((0, 0, 220), (80, 0, 160, 90))
    assert shows_nothing(two) == ""
    assert shows_nothing(night(1)) == ""


@pytest.mark.parametrize("size", [(320, 180), (1920, 1080)])
def test_blur_is_judged_at_one_size(scene: Scene, size: tuple[int, int]) -> None:
    picture = scene(1, (480, 270)).resize(size, Image.Resampling.LANCZOS)
    assert not is_badly_blurred(measure(picture))
    assert is_badly_blurred(measure(picture.filter(ImageFilter.GaussianBlur(size[0] / 60))))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 500), (500, 1), (48, 48)])
def test_any_size_can_be_measured(size: tuple[int, int]) -> None:
    still = measure(Image.new("RGB", size, (200, 100, 50)))
    assert film_crops([still]) == [(0, 0, *size)]
