"""Picks of the tab Checkpoints: the very file that `director pick` writes."""

import json
import re
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest

from director_diffusion.errors import ChangedError, EditError, OrderError
from director_diffusion.studio import checkpoints_shown
from director_diffusion.studio.checkpoints_shown import training_on_show
from director_diffusion.training.picks import pick_name, read_pick
from pipelines.cli.main import main
from tests.small_configs import surroundings_of
from tests.studio.curated import Curated

NAME = pick_name("mini_lora", "nolan")


@pytest.fixture(scope="module")
def trained(curated_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """A training of which nothing is picked."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(curated_once, folder, symlinks=True, dirs_exist_ok=True)
    Curated(folder).train("nolan", "first")
    return Curated(folder)


def test_a_pick_is_that_of_the_command_and_is_cleared_so(curated: Curated) -> None:
    curated.train("nolan", "first")
    training = training_on_show(curated.studio, "mini_lora", "nolan")
    assert [row[:2] for row in training.rows] == [["3", "0.47000"], ["6", "0.44000"]]
    assert training.rows[1][2] == "least held-out loss"
    assert training.said == "Nobody has picked a step: the training chooses. There is no adapter yet."
    assert training.curve().mode == "RGB"
    given = {"step": 3, "strength": 0.8, "who": " ann ", "why": "6 copies the stills"}
    checkpoints_shown.pick(curated.studio, "mini_lora", "nolan", training.offer.seen, **given)
    by_tab = curated.store.read(NAME)
    curated.store.delete(NAME)
    words = ["pick", "nolan", "--recipe", "mini_lora", "--step", "3", "--strength", "0.8", "--who", "ann", "--why"]
    with (
        patch.dict("os.environ", surroundings_of(curated.folder)),
        patch("pipelines.cli.pick.look_at", lambda *_: 0),
    ):
        assert main([*words, "6 copies the stills"]) == 0
    assert curated.store.read(NAME) == by_tab
    shown = training_on_show(curated.studio, "mini_lora", "nolan")
    assert shown.rows[0][2] == "picked by ann at strength 0.8"
    assert "Step 3 at strength 0.8 was picked by ann: 6 copies the stills." in shown.said
    checkpoints_shown.clear(curated.studio, "mini_lora", "nolan", shown.offer.seen)
    assert read_pick(curated.store, "mini_lora", "nolan") is None
    with pytest.raises(EditError, match="has no pick"):
        checkpoints_shown.clear(curated.studio, "mini_lora", "nolan", training.offer.seen)


def test_who_picks_after_another_or_of_an_older_training_is_told(curated: Curated) -> None:
    curated.train("nolan", "first")
    seen = training_on_show(curated.studio, "mini_lora", "nolan").offer.seen
    given = {"strength": 1, "who": "ann", "why": ""}
    checkpoints_shown.pick(curated.studio, "mini_lora", "nolan", seen, step=3, **given)
    with pytest.raises(ChangedError, match="was changed by somebody else since it was shown"):
        checkpoints_shown.pick(curated.studio, "mini_lora", "nolan", seen, step=6, **given)
    with pytest.raises(ChangedError):
        checkpoints_shown.clear(curated.studio, "mini_lora", "nolan", seen)
    assert json.loads(curated.store.read(NAME))["step"] == 3
    seen = training_on_show(curated.studio, "mini_lora", "nolan").offer.seen
    curated.train("nolan", "second")
    with pytest.raises(ChangedError, match="was trained anew since it was shown"):
        checkpoints_shown.pick(curated.studio, "mini_lora", "nolan", seen, step=6, **given)
    assert "was made of another training (first); this one is second" in (
        training_on_show(curated.studio, "mini_lora", "nolan").said
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": 4}, "step 4: was not kept. Pick one of 3, 6"),
        ({"step": "3"}, "step: "),
        ({"step": 3.5}, "step: "),
        ({"step": None}, "step: "),
        ({"strength": 0}, "strength: "),
        ({"strength": 2.5}, "strength: "),
        ({"strength": float("nan")}, "strength: "),
        ({"who": ""}, "who: is empty"),
        ({"who": "x" * 101}, "who: has 101 characters"),
        ({"who": "a\0"}, "who: holds control characters"),
        ({"why": ["x"]}, "why: "),
    ],
)
def test_what_cannot_be_picked_is_refused(trained: Curated, change: dict[str, object], words: str) -> None:
    seen = training_on_show(trained.studio, "mini_lora", "nolan").offer.seen
    given = {"step": 3, "strength": 1.0, "who": "ann", "why": "", **change}
    with pytest.raises((OrderError, EditError), match=re.escape(words)):
        checkpoints_shown.pick(trained.studio, "mini_lora", "nolan", seen, **given)
    assert not trained.store.exists(NAME)


def test_without_a_training_the_way_to_one_is_told(looked_at: Curated) -> None:
    with pytest.raises(EditError, match="director run nolan --recipe mini_lora --until adapter"):
        training_on_show(looked_at.studio, "mini_lora", "nolan")
    for recipe, director in (("../x", "nolan"), ("mini_lora", "x"), (None, "nolan"), ("mini_lora", 3)):
        with pytest.raises(OrderError):
            training_on_show(looked_at.studio, recipe, director)
