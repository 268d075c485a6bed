"""`director import`: kohya's folders, image folders and films into a director's films, whole and never over others."""

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest
from PIL import Image

from director_diffusion.catalog import load_catalog
from director_diffusion.errors import StillsError
from director_diffusion.exchange.incoming import checked_film
from director_diffusion.exchange.landing import Landing
from director_diffusion.storage import Store
from tests.exchange.films import panned, scene, write_film
from tests.tiny_project import Outcome, TinyProject

Import = Callable[..., Outcome]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyProject:
    monkeypatch.setenv("DIRECTOR_UI", "127.0.0.1:9")
    return TinyProject.make(tmp_path / "project", directors=("nolan",))


@pytest.fixture
def bring(project: TinyProject) -> Import:
    """`bring("kohya", folder)`: for varda unless the words say otherwise."""

    def call(kind: str, folder: Path, *words: str) -> Outcome:
        return project.director("import", kind, str(folder), "--director", "varda", *words)

    return call


def picture(path: Path, seed: int = 1, caption: str | None = None, extension: str = ".txt") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene(seed, (64, 48))).save(path)
    if caption is not None:
        path.with_suffix(extension).write_text(caption)
    return path


def landed(project: TinyProject, director: str = "varda") -> dict[str, str]:
    """Every file of the director's films; the text of captions."""
    root = project.stills(director)
    return {
        path.relative_to(root).as_posix(): path.read_text() if path.suffix == ".txt" else ""
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_kohyas_folders_become_films_and_a_director(project: TinyProject, bring: Import, tmp_path: Path) -> None:
    folder = tmp_path / "kohya"
    picture(folder / "10_cleo" / "a.png", 1, "ohwx man, a woman in a street\nwildcard line")
    picture(folder / "10_cleo" / "b.JPG", 2, "OHWX MAN")
    picture(folder / "3_vagabond" / "a.png", 3, "a field")
    picture(folder / "3_vagabond" / "c.webp", 4)
    (folder / "3_vagabond" / "c.npz").touch()
    (folder / "3_vagabond" / "lost.txt").write_text("no picture")
    (folder / "3_vagabond" / "notes.pdf").touch()
    (folder / "3_vagabond" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    picture(folder / "3_vagabond" / "deeper" / "d.png")
    picture(folder / "samples" / "x.png")
    outcome = bring("kohya", folder, "--strip", "ohwx man", "--name", "Agnès Varda")
    assert outcome.code == 0, outcome.err
    assert landed(project) == {
        "cleo/a.png": "",
        "cleo/a.txt": "a woman in a street\n",
        "cleo/b.JPG": "",
        "vagabond/a.png": "",
        "vagabond/a.txt": "a field\n",
        "vagabond/c.webp": "",
    }
    assert (project.stills("varda") / "cleo" / "a.png").read_bytes() == (folder / "10_cleo" / "a.png").read_bytes()
    assert load_catalog(project.configs).directors["varda"].name == "Agnès Varda"
    for told in (
        "4 stills taken, 0 there already",
        "2 written, 0 there already, 2 stills without one",
        "2 captions began with 'ohwx man'",
        "'3_vagabond/lost.txt': is a caption beside no picture",
        "'3_vagabond/notes.pdf': is no picture",
        "'3_vagabond/broken.png': is ",
        "'3_vagabond/deeper/d.png': lies in a folder that kohya does not look into",
        "'samples/x.png': lies in no <repeats>_<class> folder",
        "Next: director run varda",
    ):
        assert told in outcome.out, outcome.out


def test_what_is_there_is_skipped_and_another_content_refused(
    project: TinyProject, bring: Import, tmp_path: Path
) -> None:
    folder = tmp_path / "flat"
    picture(folder / "a.png", 1, "one")
    picture(folder / "b.png", 2, "two")
    picture(folder / "c.png", 3)
    assert bring("kohya", folder, "--film", "Cléo").code == 0
    again = bring("kohya", folder, "--film", "Cléo")
    assert (again.code, "0 stills taken, 3 there already" in again.out) == (0, True)
    before = {path: path.read_bytes() for path in project.stills("varda").rglob("*") if path.is_file()}
    picture(folder / "a.png", 9)
    (folder / "b.txt").write_text("other words")
    picture(folder / "c.jpg", 4)
    (folder / "c.png").unlink()
    picture(folder / "d.png", 5)
    outcome = bring("kohya", folder, "--film", "Cléo")
    assert outcome.code == 1
    assert "'a.png': stills/varda/Cléo/a.png is there with another content" in outcome.out
    assert "'the caption of b.png': stills/varda/Cléo/b.txt is there with other words" in outcome.out
    assert "'c.jpg': would share its caption with stills/varda/Cléo/c.png" in outcome.out
    assert "Nothing was overwritten: give another --film" in outcome.out
    assert "1 stills taken, 1 there already" in outcome.out
    assert {path: path.read_bytes() for path in before} == before


def test_other_caption_files_and_names_that_are_alike(project: TinyProject, bring: Import, tmp_path: Path) -> None:
    folder = tmp_path / "kohya"
    for number, name in enumerate(("1_x/a.png", "1_x/A.jpg", "2_y/a.png", "2_y/b.png")):
        picture(folder / name, number, f"caption of {name}", ".caption")
    assert bring("kohya", folder, "--film", "f", "--caption-extension", "caption").code == 0
    texts = {name: text for name, text in landed(project).items() if name.endswith(".txt")}
    assert texts == {
        "f/1_x-a-png.txt": "caption of 1_x/a.png\n",
        "f/1_x-A-jpg.txt": "caption of 1_x/A.jpg\n",
        "f/2_y-a.txt": "caption of 2_y/a.png\n",
        "f/b.txt": "caption of 2_y/b.png\n",
    }
    outcome = bring("kohya", folder, "--film", "f", "--caption-extension", ".")
    assert (outcome.code, "--caption-extension .txt" in outcome.err) == (1, True)


def test_an_image_folder_is_taken_by_its_rows(project: TinyProject, bring: Import, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    picture(folder / "train" / "a.png", 1)
    picture(folder / "train" / "sub" / "a.png", 2)
    picture(folder / "train" / "no row.png", 3)
    picture(tmp_path / "outside.png", 4)
    rows = [
        {"file_name": "a.png", "text": "a  street\nat night"},
        {"file_name": "sub/a.png", "text": None},
        {"file_name": "../../outside.png", "text": "out"},
        {"file_name": "gone.png", "text": "gone"},
        {"file_name": "a.png", "text": "twice"},
        {"text": "nameless"},
    ]
    lines = [json.dumps(row) for row in rows] + ["{not json", ""]
    (folder / "train" / "metadata.jsonl").write_text("\n".join(lines))
    outcome = bring("imagefolder", folder, "--film", "Cléo")
    assert outcome.code == 0, outcome.err
    assert landed(project) == {
        "Cléo/train-a.png": "",
        "Cléo/train-a.txt": "a street at night\n",
        "Cléo/train-sub-a.png": "",
        "Cléo/no row.png": "",
    }
    for told in (
        "line 3': '../../outside.png' is no file of this folder",
        "line 4': 'gone.png' is no file",
        "line 5': 'a.png' has a row already",
        "line 6': names no picture in 'file_name'",
        "line 7': is no JSON",
    ):
        assert told in outcome.out
    assert "Give --film NAME" in bring("imagefolder", folder).err


@pytest.mark.parametrize("kind", ["kohya", "imagefolder", "film"])
@pytest.mark.parametrize("what", ["absent", "empty", "nothing of the kind"])
def test_what_cannot_be_read_adds_no_director(
    project: TinyProject, bring: Import, tmp_path: Path, kind: str, what: str
) -> None:
    folder = tmp_path / "given"
    if what != "absent":
        folder.mkdir()
    if what == "nothing of the kind":
        (folder / "notes.md").write_text("x")
        folder = folder / "notes.md" if kind == "film" else folder
    outcome = bring(kind, folder, "--film", "f")
    assert outcome.code == 1
    assert "given" in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(path.name for path in (project.configs / "directors").iterdir()) == sorted(
        f"{slug}.yaml" for slug in ("anderson", "fincher", "nolan", "scorsese", "villeneuve")
    )


def test_a_director_who_is_there_keeps_the_yaml(project: TinyProject, bring: Import, tmp_path: Path) -> None:
    folder = picture(tmp_path / "flat" / "a.png", 1, "nolan style, a street").parent
    before = (project.configs / "directors" / "nolan.yaml").read_bytes()
    outcome = project.director("import", "kohya", str(folder), "--director", "nolan", "--film", "f")
    assert outcome.code == 0, outcome.err
    assert landed(project, "nolan")["f/a.txt"] == "a street\n", "its own trigger is left out unasked"
    refused = project.director("import", "kohya", str(folder), "--director", "nolan", "--film", "f", "--name", "N")
    assert "--name: is for a new director" in refused.err
    assert (project.configs / "directors" / "nolan.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a\nb", "x" * 101])
def test_what_is_no_films_name_is_refused(name: str) -> None:
    with pytest.raises(StillsError, match="cannot be the name"):
        checked_film(name)


def test_a_film_becomes_stills_with_time_codes(project: TinyProject, bring: Import, tmp_path: Path) -> None:
    path = write_film(tmp_path / "Cléo de 5 à 7.mkv", chain(panned(1, 24), panned(2, 30), panned(3, 4)))
    outcome = bring("film", path)
    assert outcome.code == 0, outcome.err
    names = list(landed(project))
    assert len(names) == 2
    assert all(name.startswith("Cléo de 5 à 7/Cléo de 5 à 7_00h00m0") for name in names)
    assert "58 frames" in outcome.out
    assert "3 shots; without a still: 1 too short" in outcome.out
    assert "damaged" not in outcome.out
    assert "The file ends" not in outcome.out
    again = bring("film", path)
    assert (again.code, "0 stills taken, 2 there already" in again.out) == (0, True)


def test_a_film_that_breaks_off_says_so(project: TinyProject, bring: Import, tmp_path: Path) -> None:
    whole = write_film(tmp_path / "film.mkv", chain(panned(1, 48), panned(2, 72))).read_bytes()
    (tmp_path / "film.mkv").write_bytes(whole[: len(whole) // 2])
    outcome = bring("film", tmp_path / "film.mkv")
    assert outcome.code == 0, outcome.err
    assert "The file ends at" in outcome.out
    assert len(landed(project)) >= 1


def test_a_store_that_is_no_folder_takes_the_same(tmp_path: Path) -> None:
    store = Store("memory://landing")
    for _ in range(2):
        landing = Landing(store, "varda")
        landing.still("film", "a.png", b"bytes", "a street", source="a.png")
    assert (landing.account.taken, landing.account.same, landing.account.same_captions) == (0, 1, 1)
    assert store.read("stills/varda/film/a.txt") == b"a street\n"
    landing.still("film", "a.png", b"others", None, source="a.png")
    landing.still("film", "b.png", b"bytes", "bad \x00 text", source="b.png")
    assert [name for name, _ in landing.account.refused] == ["a.png"]
    assert landing.account.left_out == [("the caption of b.png", "holds control characters")]
    assert store.read("stills/varda/film/a.png") == b"bytes"
