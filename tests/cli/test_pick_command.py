"""`director pick` before anything is trained, with words that name nothing, and what it lists."""

from pathlib import Path

import pytest
import torch

from director_diffusion.storage import Store
from director_diffusion.training.finished import FinishedStep, FinishedSteps
from director_diffusion.training.picks import note_training, write_pick
from director_diffusion.training.rows import CurvePoint, Pick
from tests.small_configs import change, read
from tests.tiny_project import TinyProject


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """Two recipes, and nothing made."""
    project = TinyProject.make(tmp_path_factory.mktemp("pick"), directors=("nolan",))
    recipes = project.configs / "recipes"
    (recipes / "mini_small.yaml").write_text((recipes / "mini_lora.yaml").read_text())
    change(project.configs, "projects/demo", recipes=["mini_lora", "mini_small"])
    return project


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent", "--step", "3"], ["absent: is no director of project demo", "nolan", "director add absent"]),
        (["nolan", "--recipe", "sdxl", "--step", "3"], ["sdxl: is no recipe of project demo", "mini_lora, mini_small"]),
        (["nolan", "--step", "3"], ["--recipe: is needed: the project has several", "mini_lora, mini_small"]),
        (
            ["nolan", "--recipe", "mini_lora", "--step", "3"],
            ["nolan by mini_lora: has not been trained yet", "director run nolan --recipe mini_lora --until adapter"],
        ),
        (["nolan", "--recipe", "mini_lora", "--strength", "0.5"], ["--strength: is of a step"]),
        (["nolan", "--recipe", "mini_lora", "--who", "ann"], ["--who: is of a step", "Give --step too"]),
        (["nolan", "--recipe", "mini_lora", "--why", "softer"], ["--why: is of a step", "Give --step too"]),
        (["nolan", "--recipe", "mini_lora", "--clear", "--why", ""], ["--why: is of a step"]),
        (["nolan", "--recipe", "mini_lora"], ["has not been trained yet"]),
        (["nolan", "--recipe", "mini_lora", "--clear"], ["has no pick", "nothing to clear"]),
    ],
)
def test_what_cannot_be_picked_is_said_in_a_line(project: TinyProject, arguments: list[str], words: list[str]) -> None:
    outcome = project.director("pick", *arguments)
    assert outcome.code == 1
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) == 1
    for word in words:
        assert word in outcome.err
    assert not list(Path(project.folder).glob("store/picks/**/*.json"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--step", "0"],
        ["--step", "three"],
        ["--step", "3", "--strength", "0"],
        ["--step", "3", "--strength", "2.5"],
        ["--step", "3", "--strength", "nan"],
        ["--step", "3", "--clear"],
    ],
)
def test_words_out_of_bounds_are_refused_by_the_command_line(
    project: TinyProject, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        project.director("pick", "nolan", "--recipe", "mini_lora", *arguments)
    assert caught.value.code == 2


def test_the_recipe_may_be_left_out_where_there_is_one(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path, directors=("nolan",))
    assert read(project.configs, "projects/demo")["recipes"] == ["mini_lora"]
    assert "nolan by mini_lora: has not been trained yet" in project.director("pick", "nolan").err


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyProject:
    """A training "second" that kept steps 3 and 6, of which nothing may read the weights."""
    project = TinyProject.make(tmp_path, directors=("nolan",))
    points = [CurvePoint(step, 0.1, 0.5, 1.0, held_out_loss=0.5 - step / 100) for step in range(7)]
    steps = FinishedSteps(project.store, "second")
    for step in (3, 6):
        steps.save(step, FinishedStep({"w": torch.ones(4)}, tuple(points[: step + 1]), {}))
    note_training(project.store, "mini_lora", "nolan", "second")
    read = Store.read

    def but_no_step(self: Store, name: str) -> bytes:
        assert "cache/trainings" not in name
        return read(self, name)

    monkeypatch.setattr(Store, "read", but_no_step)
    return project


def test_a_pick_of_this_training_is_marked_on_its_step(trained: TinyProject) -> None:
    write_pick(trained.store, "mini_lora", "nolan", Pick("second", 3, 0.5, "ann", ""))
    outcome = trained.director("pick", "nolan")
    assert outcome.code == 0, outcome.err
    (three,) = (line for line in outcome.out.splitlines() if "picked by" in line)
    assert "0.47000" in three
    assert "picked by ann at strength 0.5" in three
    (six,) = (line for line in outcome.out.splitlines() if "least held-out loss" in line)
    assert "0.44000" in six


@pytest.mark.parametrize(
    ("pick", "words"),
    [
        (Pick("first", 3, 1.0, "ann", ""), "was made of another training (first); this one is second"),
        (Pick("second", 4, 1.0, "ann", ""), "is of a step that was not kept; there are 3, 6"),
    ],
)
def test_a_pick_that_does_not_hold_is_listed_as_such(trained: TinyProject, pick: Pick, words: str) -> None:
    write_pick(trained.store, "mini_lora", "nolan", pick)
    outcome = trained.director("pick", "nolan")
    assert outcome.code == 0, outcome.err
    assert "picked by" not in outcome.out
    assert f"The pick of step {pick.step} by ann {words}" in outcome.out
    assert "the held-out loss chose" in outcome.out.casefold()
