"""`director sample`: what it draws and writes, what it is drawn with, and what it refuses before it draws."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.distillation.rows import weights_file
from director_diffusion.training.header import read_header
from director_diffusion.training.rows import WEIGHTS
from tests.small_configs import change
from tests.tiny_project import TinyProject

PROMPT = ("--prompt", "a red car on sand")


@pytest.fixture(scope="module")
def project(taught: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A director with an adapter, and a student of it that draws in two steps."""
    return taught.copy(tmp_path_factory.mktemp("sample") / "project")


def files(project: TinyProject) -> tuple[Path, Path]:
    return (
        project.latest("mini_lora/adapter", "nolan").path(WEIGHTS),
        project.latest("mini_lora/turbo_adapter", "nolan").path(weights_file(2)),
    )


def pixels(folder: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(folder / name))


def test_pictures_grids_and_times(project: TinyProject, tmp_path: Path) -> None:
    words = ("--director", "nolan", *PROMPT, "--steps", "2", "3", "--seed", "42", "--num-images", "2")
    outcome = project.director("sample", *words, "--compare-base", "--outdir", str(tmp_path / "out"))
    assert outcome.code == 0, outcome.err
    stems = ("steps02", "steps03", "base_steps30")
    drawn = [f"{stem}_{place:02d}_seed{42 + place}.png" for stem in stems for place in (0, 1)]
    grids = [f"grid_{stem}.png" for stem in stems]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*drawn, *grids, "side_by_side.png"])
    assert len({pixels(tmp_path / "out", name).tobytes() for name in drawn}) == len(drawn)
    for title in ("base, 30 steps", "2 steps (student)", "3 steps", "warm-up", "per image"):
        assert title in outcome.out
    again = project.director("sample", *words, "--outdir", str(tmp_path / "out"))
    assert again.code == 1
    assert "holds steps02_00_seed42.png already, of 7 such" in again.err


def test_files_draw_as_the_director_they_are_of(project: TinyProject, tmp_path: Path) -> None:
    adapter, student = files(project)
    (tmp_path / "folder").mkdir()
    shutil.copy(adapter, tmp_path / "folder" / WEIGHTS)
    shutil.copy(student, tmp_path / "folder" / student.name)
    given = {
        "director": ("--director", "nolan", "--recipe", "mini_lora"),
        "files": ("--adapter", str(student), str(adapter)),
        "folder": ("--adapter", str(tmp_path / "folder")),
    }
    for name, words in given.items():
        outcome = project.director("sample", *words, *PROMPT, "--steps", "2", "--outdir", str(tmp_path / name))
        assert outcome.code == 0, outcome.err
        assert "2 steps (student)" in outcome.out
    first, *others = (pixels(tmp_path / name, "steps02_00_seed0.png") for name in given)
    assert all(np.array_equal(first, other) for other in others)
    outcome = project.director(
        "sample", "--adapter", str(adapter), *PROMPT, "--steps", "2", "--outdir", str(tmp_path / "full")
    )
    assert outcome.code == 0, outcome.err
    assert "(student)" not in outcome.out
    assert not np.array_equal(pixels(tmp_path / "full", "steps02_00_seed0.png"), first)


def test_the_trigger_is_put_before_a_prompt_that_lacks_it(project: TinyProject, tmp_path: Path) -> None:
    trigger = read_header(files(project)[0])["trigger"]
    for name, prompt in (("without", "two houses"), ("with", join_prompt(trigger, "two houses"))):
        words = ("--director", "nolan", "--prompt", prompt, "--steps", "2", "--outdir", str(tmp_path / name))
        assert project.director("sample", *words).code == 0
    assert np.array_equal(*(pixels(tmp_path / name, "steps02_00_seed0.png") for name in ("without", "with")))


def test_several_prompts_are_told_apart_in_names(project: TinyProject, tmp_path: Path) -> None:
    words = ("--director", "nolan", "--prompt", "two houses", "a red car", "--steps", "1", "--outdir", str(tmp_path))
    assert project.director("sample", *words).code == 0
    names = sorted(path.name for path in tmp_path.glob("prompt*"))
    assert names == ["prompt00_steps01_00_seed0.png", "prompt01_steps01_00_seed0.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--adapter: or --director is needed"),
        (("--director", "nolan", "--adapter", "x"), "--adapter: or --director is needed, and not both"),
        (("--adapter", "x", "--recipe", "mini_lora"), "--recipe: goes with --director"),
        (("--director", "nobody"), "nobody: is no director"),
        (("--director", "fincher"), "mini_lora/adapter"),
        (("--adapter", "no/such"), "no/such: is no file, no folder and no repository of the hub"),
        (("--adapter", "folder"), "holds no adapter"),
        (("--adapter", "stranger.safetensors"), "--base: is needed: the adapter's file does not tell its base"),
        (("--adapter", "stranger.safetensors", "--base", "other"), "other: is no base"),
        (("--adapter", "stranger.safetensors", "--base", "mini"), "does not fit this base"),
        (("--adapter", "text.safetensors"), "cannot be read as an adapter"),
        (("--director", "nolan", "--guidance", "0.5"), "--guidance: is below 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    project: TinyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.safetensors").write_text("no weights")
    save_file({"a.lora.down": np.zeros((2, 2), np.float32)}, tmp_path / "stranger.safetensors")
    outcome = project.director("sample", *words, *PROMPT, "--steps", "2", "--outdir", str(tmp_path / "out"))
    assert outcome.code == 1, outcome.err
    assert said in " ".join(outcome.err.split())
    assert not list((tmp_path / "out").glob("*.png"))


def test_students_of_an_earlier_adapter_are_not_worn_on_this_one(project: TinyProject, tmp_path: Path) -> None:
    copy = project.copy(tmp_path / "project")
    change(copy.configs, "recipes/mini_lora", seed=1)
    assert copy.run("nolan", "--until", "adapter").code == 0
    words = ("--director", "nolan", *PROMPT, "--steps", "2", "--outdir", str(tmp_path / "out"))
    outcome = copy.director("sample", *words)
    assert outcome.code == 0, outcome.err
    assert "(student)" not in outcome.out
    assert "students were taught by an earlier adapter, and are left out" in outcome.out
    student = str(files(project)[1])
    outcome = copy.director(
        "sample", "--adapter", str(files(copy)[0]), student, *PROMPT, "--outdir", str(tmp_path / "o")
    )
    assert outcome.code == 1
    assert "is worn on the adapter that taught it, which is not what is given beside it" in " ".join(
        outcome.err.split()
    )


def test_an_adapter_with_another_trigger_than_the_director_has_is_refused(project: TinyProject, tmp_path: Path) -> None:
    copy = project.copy(tmp_path / "project")
    change(copy.configs, "directors/nolan", trigger="quite another style")
    outcome = copy.director("sample", "--director", "nolan", *PROMPT, "--outdir", str(tmp_path / "out"))
    assert outcome.code == 1
    assert "was trained with the trigger" in outcome.err


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"sampling_steps": "four"}, "sampling_steps in its header that is 'four'"),
        ({"recipe_spec": "no json"}, "recipe_spec in its header that is no JSON"),
        ({"recipe_spec": "[]"}, "recipe_spec in its header that is no mapping"),
        ({"sampling_steps": "2"}, "is a student that is worn on the adapter that taught it"),
    ],
)
def test_what_a_strangers_header_says_is_not_believed(
    project: TinyProject, tmp_path: Path, header: dict[str, str], said: str
) -> None:
    save_file({"a.lora.down": np.zeros((2, 2), np.float32)}, tmp_path / "a.safetensors", metadata=header)
    words = ("--adapter", str(tmp_path / "a.safetensors"), *PROMPT, "--outdir", str(tmp_path / "out"))
    outcome = project.director("sample", *words, *(["--base", "mini"] if "sampling_steps" in header else []))
    assert outcome.code == 1
    assert said in " ".join(outcome.err.split())


def test_a_prompt_that_would_be_cut_off_is_refused(project: TinyProject, tmp_path: Path) -> None:
    long = " ".join(["a red car on sand"] * 20)
    outcome = project.director("sample", "--director", "nolan", "--prompt", long, "--outdir", str(tmp_path / "out"))
    assert outcome.code == 1
    assert "the end would be cut off" in outcome.err


def test_a_published_repository_is_drawn_with(project: TinyProject, tmp_path: Path) -> None:
    adapter, student = files(project)
    from director_diffusion.publishing.folder_hub import FolderHub
    from director_diffusion.storage import Store

    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "README.md").write_text("---\n{}\n---\n")
    shutil.copy(adapter, repo / WEIGHTS)
    shutil.copy(student, repo / student.name)
    hub = FolderHub(Store(str(project.folder / "store" / "hub")))
    hub.put(repo, "studio/nolan", tag="one")
    words = ("--adapter", "studio/nolan", *PROMPT, "--steps", "2", "20", "--outdir", str(tmp_path / "out"))
    outcome = project.director("sample", *words)
    assert outcome.code == 0, outcome.err
    assert "2 steps (student)" in outcome.out
    header = json.loads(read_header(adapter)["recipe_spec"])
    assert header["base"] == "mini"
    assert (tmp_path / "out" / "steps20_00_seed0.png").is_file()
