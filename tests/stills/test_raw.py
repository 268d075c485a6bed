"""What a director's folder may hold, and what is said of it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from director_diffusion.errors import StillsError
from director_diffusion.hashing import hash_bytes
from director_diffusion.stills.raw import MAX_CAPTION_BYTES, list_raw_files, list_written_captions
from director_diffusion.storage.store import Store

Put = Callable[..., Path]


def problems(store: Store) -> dict[str, str]:
    return {file.file: file.problem for file in list_raw_files(store, "ann")}


def test_films_are_folders_and_files_beside_them_are_a_film_of_their_own(store: Store, put: Put) -> None:
    put("first/a.jpg", b"1")
    put("first/b.png", b"2")
    put("flat.jpg", b"3")
    files = list_raw_files(store, "ann")
    assert [(file.film, file.file, file.size) for file in files] == [
        ("ann", "flat.jpg", 1),
        ("first", "a.jpg", 1),
        ("first", "b.png", 1),
    ]
    assert files[1].name == "stills/ann/first/a.jpg"
    assert files[1].sha256 == hash_bytes(b"1")


def test_masks_captions_and_hidden_files_are_told_by_their_names(store: Store, put: Put) -> None:
    for name in ("a.jpg", "a.mask.png", "a.txt", ".DS_Store", ".part-123"):
        put(f"film/{name}", b"something")
    assert [(file.file, file.role) for file in list_raw_files(store, "ann")] == [
        ("a.jpg", "image"),
        ("a.mask.png", "mask"),
    ]
    assert [caption.stem for caption in list_written_captions(store, "ann")] == ["a"]


@pytest.mark.parametrize("kind", ["missing", "empty", "captions only", "a file"])
def test_nothing_to_use_is_an_error_with_a_way_out(store: Store, put: Put, tmp_path: Path, kind: str) -> None:
    if kind == "empty":
        (tmp_path / "store/stills/ann/film").mkdir(parents=True)
    if kind == "captions only":
        put("film/a.txt", b"a street")
    if kind == "a file":
        (tmp_path / "store/stills").mkdir()
        (tmp_path / "store/stills/ann").write_bytes(b"")
    with pytest.raises(StillsError, match=r"stills/ann: .*director add ann"):
        list_raw_files(store, "ann")


@pytest.mark.parametrize(
    "name",
    [
        "with space.jpg",
        "übergröße 雪.jpg",
        "a..b.jpg",
        "..\\..\\evil.jpg",
        "new\nline.jpg",
        "x" * 251 + ".jpg",
        "%2e%2e%2fevil.jpg",
        "star*[a].jpg",
        "a::b.jpg",
        "~.jpg",
        "'quote\".jpg",
        "-rf.jpg",
    ],
)
def test_hostile_names_are_plain_files(store: Store, put: Put, name: str) -> None:
    put(f"film/{name}", b"content")
    if name.startswith("."):
        put("film/other.jpg", b"content")
        assert problems(store) == {"other.jpg": ""}
        return
    assert problems(store) == {name: ""}
    assert store.read(list_raw_files(store, "ann")[0].name) == b"content"


def test_a_name_that_is_no_text_is_a_row_that_says_so(store: Store, put: Put) -> None:
    folder = put("film/good.jpg", b"1").parent
    with open(os.fsencode(folder) + b"/bad\xff.jpg", "wb") as file:  # noqa: PTH123
        file.write(b"2")
    found = problems(store)
    assert found["good.jpg"] == ""
    assert "not UTF-8" in found["bad\\xff.jpg"]


def test_links_out_of_the_store_are_not_followed(store: Store, put: Put, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/z.jpg").write_bytes(b"secret")
    film = put("film/a.jpg", b"1").parent
    (film / "out.jpg").symlink_to(secret)
    (film / "inside.jpg").symlink_to(film / "a.jpg")
    (film / "dangling.jpg").symlink_to(film / "gone.jpg")
    (film / "loop.jpg").symlink_to(film / "loop.jpg")
    (film / "note.txt").symlink_to(tmp_path / "secret.jpg")
    (film.parent / "linked_film").symlink_to(tmp_path / "elsewhere")
    found = problems(store)
    assert found["a.jpg"] == found["inside.jpg"] == ""
    assert "leads out of the store" in found["out.jpg"]
    assert "leads out of the store" in found["linked_film"]
    assert "does not exist" in found["dangling.jpg"]
    assert "cannot be read" in found["loop.jpg"]
    assert not any(file.sha256 == hash_bytes(b"secret") for file in list_raw_files(store, "ann"))
    assert "leads out" in list_written_captions(store, "ann")[0].problem


def test_a_director_that_is_a_link_out_of_the_store_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store/stills").mkdir()
    (tmp_path / "store/stills/ann").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StillsError, match="leads out of the store"):
        list_raw_files(store, "ann")


def test_what_is_no_regular_file_is_a_row_with_a_problem(store: Store, put: Put) -> None:
    film = put("film/a.jpg", b"1").parent
    (film / "folder.jpg").mkdir()
    os.mkfifo(film / "pipe.jpg")
    found = problems(store)
    assert "folder inside a film" in found["folder.jpg"]
    assert "not a regular file" in found["pipe.jpg"]


def test_a_file_that_fails_while_it_is_read_is_a_row_with_a_problem(
    store: Store, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("film/a.jpg", b"1")
    put("film/b.jpg", b"2")
    whole = Path.open

    def failing(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name == "b.jpg":
            raise OSError(5, "Input/output error")
        return whole(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", failing)
    assert problems(store)["a.jpg"] == ""
    assert "Input/output error" in problems(store)["b.jpg"]


def test_captions_are_read_as_people_write_them(store: Store, put: Put) -> None:
    put("film/a.txt", "\ufeffa café at dusk\n".encode())
    put("film/b.TXT", b"a street")
    captions = list_written_captions(store, "ann")
    assert [(caption.film, caption.stem, caption.text, caption.problem) for caption in captions] == [
        ("film", "a", "a café at dusk", ""),
        ("film", "b", "a street", ""),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("café".encode("latin-1"), "not UTF-8"),
        (b" \n", "is empty"),
        (b"", "is empty"),
        (b"a" * (MAX_CAPTION_BYTES + 1), "over the limit"),
        (b"a\0b", "control characters"),
    ],
)
def test_unusable_captions_say_why(store: Store, put: Put, content: bytes, problem: str) -> None:
    put("film/a.txt", content)
    (caption,) = list_written_captions(store, "ann")
    assert problem in caption.problem
    assert caption.text == ""


def test_an_object_store_lists_the_same(put: Put) -> None:
    store = Store("memory://raw-files-test")
    store.write("stills/ann/film/a.jpg", b"1")
    store.write("stills/ann/film/a.txt", b"a street")
    assert [(file.name, file.problem) for file in list_raw_files(store, "ann")] == [("stills/ann/film/a.jpg", "")]
    assert list_written_captions(store, "ann")[0].text == "a street"
