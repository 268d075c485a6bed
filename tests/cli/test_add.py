"""`director add`: from a folder of stills to a director, or to nothing at all."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from director_diffusion.catalog import load_catalog
from pipelines.surroundings import read_surroundings
from tests.small_configs import change, surroundings_of
from tests.tiny_project import Outcome, TinyProject


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyProject:
    monkeypatch.setenv("DIRECTOR_UI", "127.0.0.1:9")  # no UI of somebody else's
    return TinyProject.make(tmp_path / "project", directors=("nolan",))


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    folder = tmp_path / "my stills"
    for name in ("Cléo/one.jpg", "Cléo/two words.png", "Vagabond/one.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), "olive").save(folder / name)
    (folder / "Cléo" / "one.txt").write_text("a woman walks down a street")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "thumb.jpg").touch()
    return folder


@pytest.fixture
def add(project: TinyProject, stills: Path) -> Callable[..., Outcome]:
    """`add("agnes_varda", "--name", "Agnès Varda")`, with the folder of stills unless another is given."""

    def call(slug: str, *options: str, folder: Path = stills) -> Outcome:
        return project.director("add", slug, "--stills", str(folder), *options)

    return call


def files(project: TinyProject, slug: str) -> set[str]:
    folder = project.stills(slug)
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def assert_nothing_added(project: TinyProject, outcome: Outcome, *words: str) -> None:
    assert outcome.code == 1
    for word in words:
        assert word in outcome.err
    assert "Traceback" not in outcome.err
    assert {path.name for path in (project.configs / "directors").iterdir()} == {
        f"{slug}.yaml" for slug in ("anderson", "fincher", "nolan", "scorsese", "villeneuve")
    }
    assert not list((project.folder / "store").rglob("*.*"))


def test_a_folder_becomes_a_director(project: TinyProject, add: Callable[..., Outcome]) -> None:
    change(project.configs, "projects/demo", directors="all")
    outcome = add("agnes_varda", "--name", "Agnès Varda", "--licence", "my own photographs")
    assert outcome.code == 0, outcome.err
    assert files(project, "agnes_varda") == {"Cléo/one.jpg", "Cléo/two words.png", "Cléo/one.txt", "Vagabond/one.jpg"}
    director = load_catalog(project.configs).directors["agnes_varda"]
    assert (director.name, director.trigger) == ("Agnès Varda", "agnes varda style")
    assert director.stills_licence == "my own photographs"
    assert (project.configs / "directors" / "agnes_varda.yaml").read_text().startswith("# yaml-language-server")
    assert "copied 4 files" in outcome.out
    assert "No UI answers at 127.0.0.1:9" in outcome.out
    assert "Next: director run agnes_varda" in outcome.out
    surroundings = read_surroundings(surroundings_of(project.folder))
    assert "agnes_varda" in [d.slug for d in surroundings.catalog.project_directors(surroundings.project)]


def test_a_project_that_lists_its_directors_is_named(add: Callable[..., Outcome]) -> None:
    outcome = add("varda")
    assert outcome.code == 0, outcome.err
    assert "Project demo lists its directors: add varda to its YAML." in outcome.out


@pytest.mark.parametrize("slug", ["../varda", "Varda", "agnès", "a b", "varda\n", "", "-", "x" * 65, "x" * 300])
def test_what_is_no_slug_is_refused(project: TinyProject, add: Callable[..., Outcome], slug: str) -> None:
    assert_nothing_added(project, add(slug), "is no slug", "agnes_varda")


@pytest.mark.parametrize("trigger", ["a, b", "x", "y" * 61])
def test_a_trigger_that_cannot_be_is_refused(project: TinyProject, add: Callable[..., Outcome], trigger: str) -> None:
    assert_nothing_added(project, add("varda", "--trigger", trigger), "director varda: key trigger", "--trigger")


def test_a_director_that_is_there_is_left_alone(project: TinyProject, add: Callable[..., Outcome]) -> None:
    before = (project.configs / "directors" / "nolan.yaml").read_text()
    assert_nothing_added(project, add("nolan"), "nolan: exists already", "Choose another slug")
    assert (project.configs / "directors" / "nolan.yaml").read_text() == before


def test_stills_that_are_there_are_left_alone(project: TinyProject, add: Callable[..., Outcome]) -> None:
    (project.stills("varda") / "film").mkdir(parents=True)
    (project.stills("varda") / "film" / "mine.jpg").touch()
    outcome = add("varda")
    assert outcome.code == 1
    assert "stills/varda: is in the store already" in outcome.err
    assert files(project, "varda") == {"film/mine.jpg"}
    assert not (project.configs / "directors" / "varda.yaml").exists()


@pytest.mark.parametrize(("kind", "words"), [("absent", "is not a folder"), ("file", "is not a folder"), ("empty", "")])
def test_no_folder_of_stills_is_refused(
    project: TinyProject, add: Callable[..., Outcome], tmp_path: Path, kind: str, words: str
) -> None:
    folder = tmp_path / kind
    if kind == "file":
        folder.touch()
    if kind == "empty":
        (folder / ".git").mkdir(parents=True)
        (folder / ".git" / "HEAD").touch()
    assert_nothing_added(project, add("varda", folder=folder), f"{folder}: {words or 'holds no files'}")


def test_links_out_of_the_folder_are_left_out_and_named(
    project: TinyProject, add: Callable[..., Outcome], stills: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.jpg").touch()
    (stills / "Cléo" / "out.jpg").symlink_to(tmp_path / "elsewhere" / "secret.jpg")
    (stills / "Cléo" / "dangling.jpg").symlink_to("nowhere.jpg")
    (stills / "Cléo" / "again.jpg").symlink_to("one.jpg")
    (stills / "linked film").symlink_to(tmp_path / "elsewhere")
    outcome = add("varda")
    assert outcome.code == 0, outcome.err
    assert "secret.jpg" not in {Path(name).name for name in files(project, "varda")}
    assert {"Cléo/again.jpg", "Cléo/one.jpg"} <= files(project, "varda")
    assert not any(path.is_symlink() for path in project.stills("varda").rglob("*"))
    for name in ("Cléo/out.jpg", "Cléo/dangling.jpg", "linked film"):
        assert repr(name) in outcome.out


def test_a_copy_that_fails_halfway_leaves_nothing_and_can_be_repeated(
    project: TinyProject, add: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    copyfile, copied = shutil.copyfile, []

    def fill_up(source: Path, target: Path) -> object:
        if len(copied) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        copied.append(source)
        return copyfile(source, target)

    with monkeypatch.context() as patched:
        patched.setattr("shutil.copyfile", fill_up)
        outcome = add("varda")
    assert len(copied) == 2
    assert_nothing_added(project, outcome, "no space left in", "Free some space")
    assert add("varda").code == 0
    assert len(files(project, "varda")) == 4


def test_a_still_that_may_not_be_read_is_named(
    project: TinyProject, add: Callable[..., Outcome], stills: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> object:
        raise PermissionError(errno.EACCES, "Permission denied", str(source))

    monkeypatch.setattr("shutil.copyfile", refuse)
    assert_nothing_added(project, add("varda"), f"{stills / 'Cléo' / 'one.jpg'}: may not be read", "read access")
