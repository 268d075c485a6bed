"""`director pick` before anything is trained, and with words that name nothing."""

from pathlib import Path

import pytest

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
        (["absent", "--step", "3"], ["absent: is no director of this project", "nolan"]),
        (["nolan", "--recipe", "sdxl", "--step", "3"], ["sdxl: is no recipe of this project", "mini_lora, mini_small"]),
        (["nolan", "--step", "3"], ["--recipe: is needed: the project has several", "mini_lora, mini_small"]),
        (
            ["nolan", "--recipe", "mini_lora", "--step", "3"],
            ["nolan by mini_lora: has not been trained yet", "director run nolan --recipe mini_lora --until adapter"],
        ),
        (["nolan", "--recipe", "mini_lora", "--strength", "0.5"], ["--strength: is of a step"]),
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
