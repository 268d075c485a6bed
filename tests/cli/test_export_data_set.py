"""`director export --data-set`: what goes out, that it goes out whole, and that it comes in again the same."""

import errno
import json
import os
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from director_diffusion.stills.still_set import StillSet
from tests.exchange.finished import FILMS, finish
from tests.small_configs import change
from tests.tiny_project import TinyProject

TRIGGER = "nolan style"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyProject, StillSet, dict[str, str]]:
    project = TinyProject.make(tmp_path_factory.mktemp("data set"), directors=("nolan",))
    change(project.configs, "directors/nolan", trigger=TRIGGER)
    return project, *finish(project, "nolan")


Made = tuple[TinyProject, StillSet, dict[str, str]]


def pixels(picture: Path | Image.Image) -> bytes:
    return np.asarray(Image.open(picture) if isinstance(picture, Path) else picture).tobytes()


def test_kohya_gets_what_is_to_be_trained_on(made: Made, tmp_path: Path) -> None:
    project, stills, captions = made
    out = tmp_path / "out"
    outcome = project.director("export", "nolan", "--data-set", "kohya", "--repeats", "7", "--out", str(out))
    assert outcome.code == 0, outcome.err
    assert f"{len(stills.train)} stills for kohya, 1 with the trigger alone" in outcome.out
    folder = out / f"7_{TRIGGER}"
    assert [path.name for path in sorted(folder.glob("*.png"))] == [
        f"{n:03}.png" for n in range(1, len(stills.train) + 1)
    ]
    for still, path in zip(stills.train, sorted(folder.glob("*.png")), strict=True):
        caption = captions[still.still]
        assert pixels(path) == pixels(stills.open(still))
        assert path.with_suffix(".txt").read_text() == (f"{TRIGGER}, {caption}\n" if caption else f"{TRIGGER}\n")
    told = tomllib.loads((out / "dataset.toml").read_text())
    (subset,) = told["datasets"][0]["subsets"]
    assert (Path(subset["image_dir"]), subset["num_repeats"]) == (folder, 7)
    assert (told["general"]["caption_extension"], told["datasets"][0]["resolution"]) == (".txt", 64)


def test_an_image_folder_gets_every_split(made: Made, tmp_path: Path) -> None:
    project, stills, captions = made
    out = tmp_path / "out"
    out.mkdir()
    outcome = project.director("export", "nolan", "--data-set", "imagefolder", "--out", str(out))
    assert outcome.code == 0, outcome.err
    seen = set()
    for split, expected in (("train", stills.train), ("validation", stills.validation), ("held_out", stills.held_out)):
        rows = [json.loads(line) for line in (out / split / "metadata.jsonl").read_text().splitlines()]
        assert [row["still"] for row in rows] == [still.still for still in expected]
        for row, still in zip(rows, expected, strict=True):
            assert (row["caption"], row["film"], row["original"]) == (captions[still.still], still.film, still.name)
            assert row["text"].startswith(TRIGGER)
            assert pixels(out / split / row["file_name"]) == pixels(stills.open(still))
            seen.add(row["file_name"])
    assert len(seen) == len(stills.kept), "a name is used once over all splits"
    assert 'path: "held_out/**"' in (out / "README.md").read_text()


@pytest.mark.parametrize("data_set", ["kohya", "imagefolder"])
def test_what_goes_out_comes_in_the_same(made: Made, tmp_path: Path, data_set: str) -> None:
    project, stills, captions = made
    more = ("--all-stills",) if data_set == "kohya" else ()
    out = tmp_path / "out"
    assert project.director("export", "nolan", "--data-set", data_set, *more, "--out", str(out)).code == 0
    other = TinyProject.make(tmp_path / "other", directors=("nolan",))
    film = ("--film", "all") if data_set == "kohya" else ()
    outcome = other.director(
        "import", data_set, str(out), "--director", "varda", *film, "--strip", TRIGGER, DIRECTOR_UI="127.0.0.1:9"
    )
    assert outcome.code == 0, outcome.err
    taken = {
        (path.parent.name, pixels(path)): path.with_suffix(".txt").read_text().strip()
        if path.with_suffix(".txt").exists()
        else ""
        for path in other.stills("varda").rglob("*.png")
    }
    assert taken == {
        ("all" if data_set == "kohya" else still.film, pixels(stills.open(still))): captions[still.still]
        for still in stills.kept
    }
    assert {film for film, _ in taken} == ({"all"} if data_set == "kohya" else set(FILMS))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--data-set", "kohya", "--layout", "comfyui"), "--layout: is of an adapter, not of a data set"),
        (("--data-set", "imagefolder", "--recipe", "mini_lora"), "--recipe: is of an adapter"),
        (("--repeats", "3"), "--repeats: is of a data set, not of an adapter"),
        (("--all-stills",), "--all-stills: is of a data set"),
    ],
)
def test_words_of_the_other_kind_are_refused(made: Made, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    outcome = made[0].director("export", "nolan", *words, "--out", str(tmp_path / "out"))
    assert (outcome.code, list(tmp_path.iterdir())) == (1, [])
    assert told in outcome.err


def test_what_is_there_stays(made: Made, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    outcome = made[0].director("export", "nolan", "--data-set", "kohya", "--out", str(tmp_path / "out"))
    assert outcome.code == 1
    assert "it is there already, and is no empty folder. Give another --out" in outcome.err
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_a_disk_that_runs_full_leaves_nothing(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, saved = Image.Image.save, list[Path]()

    def full(self: Image.Image, path: Path, *arguments: str) -> None:
        if len(saved) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        saved.append(path)
        save(self, path, *arguments)

    monkeypatch.setattr(Image.Image, "save", full)
    outcome = made[0].director("export", "nolan", "--data-set", "kohya", "--out", str(tmp_path / "out"))
    assert (outcome.code, list(tmp_path.iterdir())) == (1, [])
    assert "No space left on device" in outcome.err


def test_captions_of_other_stills_are_not_paired(made: Made, tmp_path: Path) -> None:
    project = made[0].copy(tmp_path / "project")
    (project.stills("nolan") / FILMS[0] / "000.png").unlink()
    finished = project.folder / "out"
    finished.rename(project.folder / "out before")
    from director_diffusion.catalog import load_catalog
    from director_diffusion.progress import Silent
    from director_diffusion.stills.ingest import ingest_stills
    from director_diffusion.stills.raw import list_raw_files
    from tests.exchange.finished import keep

    rules = load_catalog(project.configs).directors["nolan"].stills
    new = ingest_stills(project.store, list_raw_files(project.store, "nolan"), rules, finished / "stills", Silent())
    keep(project, "stills", "nolan", finished / "stills", references=new.references)
    outcome = project.director("export", "nolan", "--data-set", "kohya", "--out", str(tmp_path / "out"))
    assert outcome.code == 1
    assert "captions: was made of another stills than there is now" in outcome.err
    assert not (tmp_path / "out").exists()
