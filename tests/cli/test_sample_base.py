"""`director sample-base`: the grid it writes, and what it refuses before it draws."""

from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel
from PIL import Image
from safetensors.torch import save_file

from tests.models.original_layouts import flux_original
from tests.small_configs import change
from tests.tiny_project import TinyProject


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    folder = tmp_path_factory.mktemp("sample_base")
    return TinyProject.make(folder / "project", directors=("nolan",))


def words(out: Path, *more: str, base: str = "mini") -> tuple[str, ...]:
    return "sample-base", base, "--prompts", "a red car", "", "--count", "3", "--steps", "2", "--out", str(out), *more


def test_a_row_for_every_prompt_from_the_same_seeds_by_a_base_or_its_set(
    project: TinyProject, mini_base: Path, tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "base").symlink_to(mini_base)
    of_set = ("--folder", str(tmp_path / "set"))
    folder = ("--folder", str(mini_base))
    for name, seed, shape, of in (
        ("grid", 0, "wide", folder),
        ("again", 0, "wide", of_set),
        ("later", 1, "wide", folder),
        ("square", 0, "square", folder),
    ):
        outcome = project.director(*words(tmp_path / f"{name}.png", "--seed", str(seed), "--shape", shape, *of))
        assert outcome.code == 0, outcome.err
        assert "2 prompts × 3 images of" in outcome.out
    grid, again, later = (Image.open(tmp_path / f"{name}.png") for name in ("grid", "again", "later"))
    assert grid.tobytes() == again.tobytes() != later.tobytes()
    assert grid.width > 3 * 96
    assert "64 × 64 pixels" in outcome.out
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["again.png", "grid.png", "later.png", "square.png"]


def test_a_base_in_one_file_draws_as_its_folder_and_one_with_a_student_as_that(mini_base: Path, tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "project", directors=("nolan",))
    of_folder = {"kind": "folder", "folder": "models/mini/base"}
    transformer = FluxTransformer2DModel.from_pretrained(mini_base / "transformer", dtype=torch.float16)
    save_file(flux_original(transformer), project.folder / "one.safetensors")
    one_file = {"kind": "single_file", "file": "one.safetensors", "rest": of_folder}
    student = {"name": "other", "model_id": "other", "guidance": {"kind": "classifier_free", "sample": 1.0}}

    def grid(name: str, **of_base: object) -> bytes:
        change(project.configs, "bases/mini", **of_base)
        outcome = project.director(*words(tmp_path / f"{name}.png"))
        assert outcome.code == 0, outcome.err
        return Image.open(tmp_path / f"{name}.png").tobytes()

    plain = grid("plain")
    assert grid("one", source=one_file) == plain
    assert len(list((project.folder / "model-cache/single-files").glob("[!.]*/"))) == 1
    assert (
        grid("student", source={**of_folder, "folder": "absent"}, sampled_with={**student, "source": one_file}) != plain
    )


def test_a_base_that_is_not_trained_yet_says_how_to_train_it(project: TinyProject, tmp_path: Path) -> None:
    change(project.configs, "bases/mini", source={"kind": "base_model", "base": "mini"})
    outcome = project.director(*words(tmp_path / "grid.png"))
    assert outcome.code == 1
    assert "has not been trained yet" in outcome.err
    assert "director build-base mini" in outcome.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("missing/grid.png", "cannot be written: No such file or directory. Give another --out"),
        ("folder.png", "folder.png: cannot be written: it is a folder"),
        ("grid.xcf", "is of no known kind of image"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_drawing(
    project: TinyProject, tmp_path: Path, out: str, message: str
) -> None:
    (tmp_path / "folder.png").mkdir()
    outcome = project.director(*words(tmp_path / out, "--folder", str(tmp_path)))
    assert outcome.code == 1
    assert message in outcome.err


def test_what_is_no_base_is_named(project: TinyProject, tmp_path: Path) -> None:
    outcome = project.director(*words(tmp_path / "grid.png", base="maxi"))
    assert outcome.code == 1
    assert "maxi: is no base. Choose of" in outcome.err
    outcome = project.director(*words(tmp_path / "grid.png", "--folder", str(tmp_path)))
    assert outcome.code == 1
    assert "model_index.json is missing" in outcome.err
