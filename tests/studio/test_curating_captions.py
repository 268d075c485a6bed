"""Captions as the tab writes them, down to what training is told."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from director_diffusion.captions import editing
from director_diffusion.captions.editing import Entry, write_captions
from director_diffusion.captions.quality import word_set
from director_diffusion.captions.replacing import Search
from director_diffusion.captions.rows import FILE, Caption
from director_diffusion.errors import ChangedError, EditError, OrderError
from director_diffusion.stills.rows import WRITTEN_FILE, WrittenCaption
from director_diffusion.storage.latest import latest_rows
from director_diffusion.studio import captions_shown
from director_diffusion.studio.captions_shown import captions_on_show, chosen, entry_on_show, save, undo
from tests.studio.curated import Curated

TEXT = "a lighthouse beside three boats in the harbour at night"


def captions(curated: Curated) -> dict[str, Caption]:
    return {f"{row.film}/{row.name}": row for row in curated.latest("captions", "nolan").table(FILE, Caption)}


def test_the_queue_is_written_and_wins_and_is_given_back(curated: Curated) -> None:
    shown = captions_on_show(curated.studio, "nolan")
    assert {one.name for one in chosen(shown, "need a person")} == {
        name for name, row in captions(curated).items() if row.status == "needs_person"
    }
    needing = chosen(shown, "need a person")[0]
    by_person = chosen(shown, "by a person")[0]
    assert "need a person" in captions_shown.counted(shown)
    before, latents = captions(curated), curated.latest("mini/latents", "nolan").manifest
    assert save(curated.studio, "nolan", needing, f"  nolan style, {TEXT}\n") == TEXT
    undo(curated.studio, "nolan", by_person)
    now = {one.name: one for one in captions_on_show(curated.studio, "nolan")}
    assert (now[needing.name].text, now[needing.name].by, now[needing.name].waiting) == (TEXT, "person", True)
    assert (now[by_person.name].text, now[by_person.name].by) == ("", "none")
    assert not now[by_person.name].needs_person, "the captioner is yet to be asked"

    curated.make("nolan")
    written = curated.latest("written_captions", "nolan").table(WRITTEN_FILE, WrittenCaption)
    assert TEXT in {one.text for one in written}
    after = captions(curated)
    assert (after[needing.name].text, after[needing.name].source) == (TEXT, "person")
    assert after[by_person.name].source != "person"
    assert {name: row for name, row in after.items() if name not in (needing.name, by_person.name)} == {
        name: row for name, row in before.items() if name not in (needing.name, by_person.name)
    }
    assert curated.latest("mini/latents", "nolan").manifest == latents
    assert not chosen(captions_on_show(curated.studio, "nolan"), "waiting for a run")


def test_the_rules_are_told_before_anything_is_written(looked_at: Curated) -> None:
    shown = captions_on_show(looked_at.studio, "nolan")
    entry, other = shown[0], next(one for one in shown[1:] if one.text)
    for text, words in (
        ("A moody harbour with three boats and a lighthouse, of", ["style: speaks of mood", "truncation"]),
        ("boats in nolan style beside a lighthouse in the harbour", ["says the trigger 'nolan style'"]),
        ("boat " + "and a lighthouse beside the harbour " * 6, ["repetition", "tokens: takes 39"]),
        (other.text, [f"near identical: says what {other.name} says"]),
    ):
        problems = captions_shown.problems_of(looked_at.studio, "nolan", entry, text, shown)
        for word in words:
            assert any(word in problem for problem in problems), (word, problems)
    assert captions_shown.problems_of(looked_at.studio, "nolan", entry, TEXT, shown) == []


@pytest.mark.parametrize("text", [7, None, ["x"], "", " \n", "nolan style", "nolan style, ", "a\0b", "x" * 2001])
def test_what_is_no_caption_is_refused(looked_at: Curated, text: object) -> None:
    entry = captions_on_show(looked_at.studio, "nolan")[0]
    with pytest.raises(EditError) as caught:
        save(looked_at.studio, "nolan", entry, text)
    assert len(str(caught.value)) < 200
    assert captions_on_show(looked_at.studio, "nolan")[0] == entry


@pytest.mark.parametrize("name", ["../../x", "placeholder_film_1/../x", None, 3, ["x"], {}, "x" * 100_000, "a\0"])
def test_only_captions_on_show_are_looked_up(looked_at: Curated, name: object) -> None:
    with pytest.raises(OrderError) as caught:
        entry_on_show(looked_at.studio, "nolan", name)
    assert len(str(caught.value)) < 200


def test_of_two_editors_the_second_is_told_and_overwrites_nothing(curated: Curated) -> None:
    entry = captions_on_show(curated.studio, "nolan")[0]
    outcomes: list[tuple[str, bool]] = []

    def edit(number: int) -> None:
        text = f"{number} boats beside a lighthouse in the harbour"
        try:
            save(curated.studio, "nolan", entry, text)
            outcomes.append((text, True))
        except ChangedError as error:
            outcomes.append((str(error), False))

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = [text for text, written in outcomes if written]
    told = [words for words, written in outcomes if not written]
    assert len(told) == 7
    assert all("was changed by somebody else since it was shown" in words for words in told)
    now = captions_on_show(curated.studio, "nolan")[0]
    assert now.text == won
    with pytest.raises(ChangedError):
        undo(curated.studio, "nolan", replace(now, mark="0" * 64))
    undo(curated.studio, "nolan", now)
    with pytest.raises(EditError, match="has no caption by a person"):
        undo(curated.studio, "nolan", captions_on_show(curated.studio, "nolan")[0])


def texts(shown: Sequence[Entry]) -> dict[str, str]:
    return {one.name: one.text for one in shown}


def test_find_and_replace_shows_first_and_does_just_that(curated: Curated) -> None:
    spec = curated.studio.directors["nolan"]
    shown = captions_on_show(curated.studio, "nolan")
    wanted = [f"a Tower and towers, {number} of them by the sea" for number in range(3)]
    write_captions(curated.store, spec, {one.file: text for one, text in zip(shown, wanted, strict=False)}, shown[:3])
    before = texts(captions_on_show(curated.studio, "nolan"))
    options = {"whole_words": True, "match_case": False}
    _, shown, seen = captions_shown.searched(curated.studio, "nolan", "tower", "castle", **options)
    changing = {one.entry.name: one.after for one in seen.changes}
    assert changing.keys() >= set(list(before)[:3])
    assert all("castle" in text for text in changing.values())
    assert changing[shown[0].name] == "a castle and towers, 0 of them by the sea"
    assert texts(captions_on_show(curated.studio, "nolan")) == before, "a preview changes nothing"
    rows = captions_shown.changes_of(curated.studio, "nolan", seen, shown)
    assert [shown[0].name, wanted[0], changing[shown[0].name]] == rows[0][:3]

    stale = seen.token
    save(curated.studio, "nolan", shown[0], TEXT)
    with pytest.raises(ChangedError, match="are no longer those that this search was shown for"):
        captions_shown.replace_all(curated.studio, "nolan", "tower", "castle", **options, token=stale)
    _, _, seen = captions_shown.searched(curated.studio, "nolan", "tower", "castle", **options)
    count = captions_shown.replace_all(curated.studio, "nolan", "tower", "castle", **options, token=seen.token)
    assert count == len(seen.changes) == len(changing) - 1
    after = texts(captions_on_show(curated.studio, "nolan"))
    assert after == before | changing | {shown[0].name: TEXT}
    assert not captions_shown.searched(curated.studio, "nolan", "tower", "castle", **options)[2].changes


def test_no_more_is_replaced_than_was_shown(curated: Curated, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, shown = curated.studio.directors["nolan"], captions_on_show(curated.studio, "nolan")[:3]
    write_captions(curated.store, spec, {one.file: f"a tower and {one.name}" for one in shown}, shown)
    before = texts(captions_on_show(curated.studio, "nolan"))
    monkeypatch.setattr(captions_shown, "MOST_CHANGES", 2)
    options = {"whole_words": True, "match_case": False}
    _, among, seen = captions_shown.searched(curated.studio, "nolan", "tower", "castle", **options)
    assert len(captions_shown.changes_of(curated.studio, "nolan", seen, among)) == 2 < len(seen.changes)
    assert "The first 2 are shown" in captions_shown.said_of(seen)
    with pytest.raises(EditError, match="of which 2 are shown"):
        captions_shown.replace_all(curated.studio, "nolan", "tower", "castle", **options, token=seen.token)
    assert texts(captions_on_show(curated.studio, "nolan")) == before


def test_a_preview_splits_the_other_captions_once(looked_at: Curated, monkeypatch: pytest.MonkeyPatch) -> None:
    split: list[str] = []

    def noted(text: str) -> frozenset[str]:
        split.append(text)
        return word_set(text)

    monkeypatch.setattr(captions_shown, "word_set", noted)
    _, shown, seen = captions_shown.searched(looked_at.studio, "nolan", "a", "the", whole_words=True, match_case=False)
    rows = captions_shown.changes_of(looked_at.studio, "nolan", seen, shown)
    assert len(rows) > 1
    assert len(split) == sum(bool(one.text) for one in shown)


def test_a_replacement_that_leaves_nothing_is_refused_for_that_caption(curated: Curated) -> None:
    entry = captions_on_show(curated.studio, "nolan")[0]
    save(curated.studio, "nolan", entry, "lighthouse")  # too short by the rules, which bind nobody
    found = captions_shown.searched(curated.studio, "nolan", "lighthouse", "", whole_words=True, match_case=True)
    assert found[2].changes == ()
    assert found[2].refused == ((entry.name, "is empty"),)


def test_a_caption_whose_file_cannot_be_read_is_refused_and_the_others_are_replaced(
    curated: Curated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_model(*of: Any) -> Any:
        found = latest_rows(*of)
        return [replace(row, source="model", text=f"a tower, {row.name}") for row in found] if of[3] is FILE else found

    monkeypatch.setattr(editing, "latest_rows", by_model)  # this project's captioner answers nothing that is usable
    before = captions_on_show(curated.studio, "nolan")
    lost, *others = [one for one in before if one.by == "model"]
    (curated.folder / "store" / lost.file).symlink_to("/etc/hostname")
    options = {"whole_words": True, "match_case": True}
    _, _, seen = captions_shown.searched(curated.studio, "nolan", "tower", "castle", **options)
    ((name, why),) = seen.refused
    assert name == lost.name
    assert why.startswith("has a caption file that is a link that leads out of the store")
    assert {one.entry.name for one in seen.changes} == {one.name for one in others}
    count = captions_shown.replace_all(curated.studio, "nolan", "tower", "castle", **options, token=seen.token)
    assert count == len(others) > 0
    after = texts(captions_on_show(curated.studio, "nolan"))
    assert after == texts(before) | {one.name: f"a castle, {one.still.name}" for one in others}


@pytest.mark.parametrize(
    ("search", "text", "after"),
    [
        (Search("car", "van"), "A car, a CAR and a cart", "A van, a van and a cart"),
        (Search("car", "van", whole_words=False), "A car and a cart", "A van and a vant"),
        (Search("Car", "van", match_case=True), "A car, a Car", "A car, a van"),
        (Search("a.c", "x"), "abc a.c", "abc x"),
        (Search("(", r"\1", whole_words=False), "two (2)", r"two \12)"),
        (Search("red", ""), "a red  car", "a car"),
        (Search("straße", "road"), "die Straße", "die road"),
        (Search("blue-green", "teal"), "a blue-green car", "a teal car"),
    ],
)
def test_words_are_found_as_they_are_written(search: Search, text: str, after: str) -> None:
    assert search.apply(text) == after


@pytest.mark.parametrize(
    ("find", "put", "whole", "case"),
    [
        ("", "x", True, True),
        (" ", "x", True, True),
        (None, "x", True, True),
        ("x", 5, True, True),
        ("x" * 201, "", True, True),
        ("a\nb", "", True, True),
        ("x", "a\0b", True, True),
        ("x", "y", "yes", True),
        ("x", "y", True, None),
    ],
)
def test_what_is_no_search_is_refused(
    looked_at: Curated, find: object, put: object, whole: object, case: object
) -> None:
    with pytest.raises(EditError) as caught:
        captions_shown.searched(looked_at.studio, "nolan", find, put, whole_words=whole, match_case=case)
    assert len(str(caught.value)) < 200


def test_files_that_are_no_captions_are_told_and_can_be_mended_where_they_are_files(curated: Curated) -> None:
    entry = chosen(captions_on_show(curated.studio, "nolan"), "by a person")[0]
    path = curated.folder / "store" / entry.file
    path.write_bytes(b"\xff\xfe")
    now = entry_on_show(curated.studio, "nolan", entry.name)
    assert "is not UTF-8 text" in now.problems[0]
    save(curated.studio, "nolan", now, TEXT)
    assert path.read_text() == f"{TEXT}\n"
    path.unlink()
    path.symlink_to("/etc/hostname")
    now = entry_on_show(curated.studio, "nolan", entry.name)
    assert "leads out of the store" in now.problems[0]
    with pytest.raises(EditError, match="leads out of the store"):
        save(curated.studio, "nolan", now, TEXT)
