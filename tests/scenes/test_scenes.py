"""Scenes: what is drawn is what is said, always the same, and styles differ."""

import numpy as np
import pytest

from director_diffusion.scenes.captions import describe, vocabulary
from director_diffusion.scenes.drawing import draw
from director_diffusion.scenes.scene import Scene, Things, sample_scene
from director_diffusion.scenes.style import NEUTRAL, STYLES, sample_style, style_vocabulary, style_words


def _words(text: str) -> set[str]:
    return set(text.replace(",", "").split())


def test_a_scene_is_said_in_words() -> None:
    scene = Scene(Things("car", 2, "red"), "street", Things("house", 3), "night", "clear", "wide")
    assert describe(scene) == "two red cars on a street before three houses at night, wide shot"
    one = Scene(Things("tree", 1, "orange"), "hill", None, "dusk", "cloudy", "close")
    assert describe(one) == "an orange tree on a hill under a cloudy sky at dusk, close shot"


def test_sentences_use_known_words_only_and_tell_scenes_apart() -> None:
    scenes = [sample_scene(np.random.default_rng(seed)) for seed in range(300)]
    assert set().union(*(_words(describe(scene)) for scene in scenes)) <= set(vocabulary())
    assert len({describe(scene) for scene in scenes}) == len(set(scenes)) > 280
    looks = [*STYLES.values(), *(sample_style(np.random.default_rng(seed)) for seed in range(200))]
    assert set().union(*(_words(style_words(look)) for look in looks)) <= set(style_vocabulary())


def test_the_same_seed_draws_the_same_picture() -> None:
    scene = sample_scene(np.random.default_rng(3))
    first, again = (draw(scene, STYLES["nolan"], 96, 40, np.random.default_rng(5)) for _ in range(2))
    other = draw(scene, STYLES["nolan"], 96, 40, np.random.default_rng(6))
    assert first.size == (96, 40)
    assert first.mode == "RGB"
    assert first.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize("shot", ["wide", "medium", "close"])
@pytest.mark.parametrize("kind", ["car", "house", "tower", "tree", "figure"])
def test_the_subject_is_seen(kind: str, shot: str) -> None:
    """Red things on grass by day must leave red pixels, at any frame's shape."""
    scene = Scene(Things(kind, 2, "red"), "grass", None, "day", "clear", shot)
    for width, height in ((240, 100), (120, 120), (80, 140)):
        pixels = np.asarray(draw(scene, NEUTRAL, width, height, np.random.default_rng(1)), dtype=int)
        red = (pixels[..., 0] > pixels[..., 1] + 60) & (pixels[..., 0] > pixels[..., 2] + 60)
        assert red.mean() > 0.004


def _colours(pixels: np.ndarray) -> np.ndarray:
    """Means of the channels, shares of each in them, and their deviations."""
    mean = pixels.mean(axis=(0, 1)) / 255
    return np.concatenate([mean, 3 * mean / mean.sum(), pixels.std(axis=(0, 1)) / 255])


def test_styles_are_told_apart_by_their_colours() -> None:
    """Pictures of the same scenes lie nearest to the mean of their own director's."""
    scenes = [sample_scene(np.random.default_rng(seed)) for seed in range(24)]
    looks = {
        name: np.array([_colours(np.asarray(draw(s, style, 48, 27, np.random.default_rng(2)))) for s in scenes])
        for name, style in STYLES.items()
    }
    names = list(looks)
    centres = np.array([look.mean(axis=0) for look in looks.values()])
    for own, look in enumerate(looks.values()):
        nearest = np.linalg.norm(look[:, None] - centres, axis=-1).argmin(axis=1)
        assert (nearest == own).mean() >= 0.75, names[own]
