"""Reading: what is said of a scene is read back, and nothing is read into what was not said."""

import numpy as np
import pytest

from director_diffusion.captions.tidy import tidy
from director_diffusion.scenes.captions import describe
from director_diffusion.scenes.reading import ATTRIBUTES, Reading, read_caption, read_scene, rights, share_right
from director_diffusion.scenes.scene import Scene, Things, sample_scene

SCENE = Scene(Things("car", 2, "red"), "street", Things("house", 3), "night", "clear", "wide")


def test_every_scene_is_read_back_from_its_words() -> None:
    for seed in range(400):
        scene = sample_scene(np.random.default_rng(seed))
        assert read_caption(describe(scene)) == read_scene(scene)
        assert read_caption(tidy(describe(scene)) + ".") == read_scene(scene)
        assert all(rights(describe(scene), scene).values())


def test_what_stands_behind_is_not_taken_for_the_subject() -> None:
    said = read_caption("a white tree on a hill before four towers under a cloudy sky by day, close shot")
    assert said == Reading("tree", "white", "1", "hill", "day")


@pytest.mark.parametrize(
    ("caption", "missing"),
    [
        ("", set(ATTRIBUTES)),
        ("red red the the before before night", {"object", "count", "ground", "time"}),
        ("cars on a street at night", {"colour", "count"}),
        ("two red cars before three houses at night", {"ground"}),
        ("two red cars on a street", {"time"}),
        ("two three red blue cars on a street at night", {"count", "colour"}),
        ("two red cars trees on a street on snow by day at night", {"object", "ground", "time"}),
        ("two red carts on a streetcar at nightfall", {"object", "ground", "time"}),
    ],
)
def test_what_is_missing_or_said_in_two_ways_is_none(caption: str, missing: set[str]) -> None:
    said = read_caption(caption)
    assert {name for name in ATTRIBUTES if getattr(said, name) is None} == missing


def test_wrong_and_missing_attributes_both_count_as_wrong() -> None:
    assert rights("two blue cars on a street", SCENE) == {
        "object": True,
        "colour": False,
        "count": True,
        "ground": True,
        "time": False,
    }
    shares = share_right([(describe(SCENE), SCENE), ("three red houses on sand at night", SCENE)])
    assert shares == {"object": 0.5, "colour": 1.0, "count": 0.5, "ground": 0.5, "time": 1.0}
