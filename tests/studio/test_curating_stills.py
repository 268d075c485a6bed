"""Decisions of the tab Stills, down to what comes of them."""

import threading
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import pytest
import yaml
from PIL import Image, ImageFilter

from director_diffusion.errors import ChangedError, EditError, OrderError
from director_diffusion.stills.deciding import ShownStill
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.storage import Store
from director_diffusion.studio import stills_shown
from director_diffusion.studio.paging import page_of
from director_diffusion.studio.stills_shown import LARGE, PAGE, THUMB, Stills, chosen, empty, stills_on_show
from tests.studio.curated import Curated


def named(shown: list[ShownStill], name: str) -> ShownStill:
    return next(one for one in shown if one.name == name)


def rows(curated: Curated) -> dict[str, Still]:
    return {f"{row.film}/{row.name}": row for row in curated.latest("stills", "nolan").table(STILLS_FILE, Still)}


def test_decisions_reach_the_lineage_and_nothing_beside(curated: Curated) -> None:
    before, latents, untouched = rows(curated), curated.items("latents"), curated.latest("stills", "fincher").manifest
    keys = curated.keys("nolan")
    trained = [name for name, row in before.items() if row.split == "train"]
    out, cut, twin = trained[:3]
    film = curated.stills("nolan") / twin.split("/")[0]
    with Image.open(curated.stills("nolan") / twin) as picture:  # the same, less sharp
        picture.filter(ImageFilter.GaussianBlur(1)).save(film / "twin.jpg", quality=90)
    curated.make("nolan", "raw_stills", "still_decisions", "stills")
    stills, shown = Stills(curated.studio), stills_on_show(curated.studio, "nolan")
    alike = named(shown, f"{film.name}/twin.jpg")
    assert "nearly the same as" in stills_shown.told(alike)
    assert named(shown, cut).decision is None
    stills.reject("nolan", named(shown, out), "a hand before the lens", "ann")
    stills.crop("nolan", named(shown, cut), (0.25, 0.25, 0.75, 0.75), "", None)
    stills.keep("nolan", alike, "both takes", None)
    path = curated.stills("nolan") / f"{out}.decision.yaml"
    assert yaml.safe_load(path.read_text()) == {"decision": "reject", "reason": "a hand before the lens", "who": "ann"}
    waiting = {one.name for one in chosen(stills_on_show(curated.studio, "nolan"), "waiting for a run")}
    assert waiting == {out, cut, alike.name}

    curated.make("nolan")
    after = rows(curated)
    assert after[out].reason == "rejected by ann: a hand before the lens"
    assert after[out].split == "none"
    assert after[alike.name].status == "kept"
    assert after[alike.name].split == after[twin].split
    width, height = Image.open(curated.stills("nolan") / cut).size
    assert after[cut].crop == (width // 4, height // 4, width * 3 // 4, height * 3 // 4)
    others = [name for name in before if name not in (out, cut)]
    assert {name: (after[name].still, after[name].split) for name in [*others, cut]} == {
        name: (after[cut].still if name == cut else before[name].still, before[name].split) for name in [*others, cut]
    }
    now = curated.items("latents")
    assert {name: time for name, time in now.items() if name in latents} == latents, "nothing is encoded twice"
    assert len(set(now) - set(latents)) == 2, "the crop, and the still that came back"
    changed = {name for name, key in curated.keys("nolan").items() if key != keys[name]}
    assert changed == {"raw_stills", "still_decisions", "stills", "captions", "mini/latents"}
    curated.make("fincher", "raw_stills", "still_decisions", "director", "stills")
    assert curated.latest("stills", "fincher").manifest == untouched

    shown = stills_on_show(curated.studio, "nolan")
    assert not chosen(shown, "waiting for a run")
    stills.reject("nolan", named(shown, out), "a hand before the lens, and a cable", "ann")
    shown = stills_on_show(curated.studio, "nolan")
    assert [one.name for one in chosen(shown, "waiting for a run")] == [out], "the reason stands in the still's row"
    for name in (out, cut, alike.name):
        stills.take_back("nolan", named(shown, name))
    (film / "twin.jpg").unlink()
    curated.make("nolan")
    assert curated.keys("nolan") == keys, "undone, all is found again"


def test_of_two_who_decide_at_once_the_second_is_told(curated: Curated) -> None:
    stills, shown = Stills(curated.studio), stills_on_show(curated.studio, "nolan")[0]
    outcomes: list[str] = []

    def decide(who: str) -> None:
        try:
            stills.reject("nolan", shown, f"by {who}", who)
            outcomes.append(who)
        except ChangedError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=decide, args=(f"editor {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [one for one in outcomes if not one.startswith("editor")]
    assert len(told) == 7
    assert all("was changed by somebody else since it was shown" in one for one in told)
    (winner,) = set(outcomes) - set(told)
    now = stills_on_show(curated.studio, "nolan")[0]
    assert now.decision is not None
    assert now.decision.who == winner
    with pytest.raises(ChangedError):
        stills.take_back("nolan", replace(now, mark=shown.mark))


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda stills, shown: stills.reject("nolan", shown, "", None), "a rejection needs a `reason`"),
        (lambda stills, shown: stills.reject("nolan", shown, 7, None), "is no text"),
        (lambda stills, shown: stills.reject("nolan", shown, "a\0b", None), "control characters"),
        (lambda stills, shown: stills.keep("nolan", shown, "x" * 100_000, None), "of at most 300"),
        (lambda stills, shown: stills.take_back("nolan", shown), "has no decision"),
        (lambda stills, shown: stills_shown.checked_crop([50, 0, 50, 100]), "is empty"),
        (lambda stills, shown: stills_shown.checked_crop([0, 0, "100", 100]), "right: "),
        (lambda stills, shown: stills_shown.checked_crop([0, 0, 101, 100]), "from 0 to 100"),
        (lambda stills, shown: stills_shown.checked_crop([0, float("nan"), 100, 100]), "top: "),
    ],
)
def test_what_cannot_be_decided_is_refused_and_writes_nothing(
    looked_at: Curated, do: Callable[[Stills, ShownStill], object], words: str
) -> None:
    with pytest.raises((OrderError, EditError)) as caught:
        do(Stills(looked_at.studio), stills_on_show(looked_at.studio, "nolan")[0])
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300
    assert not list(looked_at.stills("nolan").rglob("*.decision.yaml"))


@pytest.mark.parametrize("director", ["absent", "../nolan", "nolan/..", 5, None, ["nolan"], "nolan\0", "x" * 100_000])
def test_only_directors_on_show_are_looked_up(looked_at: Curated, director: object) -> None:
    with pytest.raises(OrderError) as caught:
        stills_on_show(looked_at.studio, director)
    assert len(str(caught.value)) < 200


def test_pages_kinds_and_pictures(curated: Curated) -> None:
    broken = curated.stills("nolan") / "placeholder_film_1" / "<b>broken.jpg"
    broken.write_bytes(b"no picture")
    (broken.parent / "<b>broken.jpg.decision.yaml").write_text("decision: [")
    curated.make("nolan", "raw_stills")
    (broken.parent / "<b>broken.jpg.decision.yaml").rename(broken.parent / ".aside")
    curated.make("nolan", "still_decisions", "stills")
    (broken.parent / ".aside").rename(broken.parent / "<b>broken.jpg.decision.yaml")
    shown = stills_on_show(curated.studio, "nolan")
    (bad,) = chosen(shown, "rejected")
    assert "is not an image" in stills_shown.label(bad)
    told = stills_shown.told(bad)
    assert "its file cannot be read: is not YAML" in told
    assert "<b>" not in told
    away = chosen(shown, "held out")
    assert away == [one for one in shown if one.still.split in ("held_out", "validation")]
    assert page_of(shown, 1, PAGE, "stills") == (shown, "page 1 of 1, 13 stills")
    assert page_of(shown, 99.0, PAGE, "stills")[0] == shown
    assert page_of(range(25), 2, PAGE, "stills") == ([24], "page 2 of 2, 25 stills")
    for number in (0, -1, 1.5, "1", None, True, 10**9):
        with pytest.raises(OrderError):
            page_of(shown, number, PAGE, "stills")
    with pytest.raises(OrderError):
        chosen(shown, "everything")
    stills, kept = Stills(curated.studio), next(one for one in shown if one.still.crop)
    address, crop = stills.large("nolan", kept)
    assert crop[1] > 0, "the bars are outside the frame"
    for one in (address, stills.thumb("nolan", kept), stills.thumb("nolan", bad)):
        data = curated.studio.shelf.get(one.removeprefix("/shelf/"))
        assert data is not None
        assert Image.open(BytesIO(data)).format == "PNG"


def test_a_still_whose_file_was_changed_or_removed_leaves_the_others_on_show(curated: Curated) -> None:
    stills, (changed, removed, *_) = Stills(curated.studio), stills_on_show(curated.studio, "nolan")
    before = stills.thumb("nolan", changed)
    path = curated.stills("nolan") / changed.name
    data = path.read_bytes()
    path.write_bytes(data + b"more")
    (curated.stills("nolan") / removed.name).unlink()
    put, words = curated.studio.shelf.put, "changed since the last run"
    now = {one.name: one for one in stills_on_show(curated.studio, "nolan")}
    assert stills.large("nolan", now[changed.name]) == (put(empty(LARGE, words)), (0, 0, 1, 1))
    assert stills.thumb("nolan", now[removed.name]) == put(empty(THUMB, words))
    path.write_bytes(data)
    assert stills.thumb("nolan", now[changed.name]) == before


def test_a_rejection_is_lifted_by_name_alone(curated: Curated) -> None:
    stills, name = Stills(curated.studio), stills_on_show(curated.studio, "nolan")[0].name
    stills.reject("nolan", named(stills_on_show(curated.studio, "nolan"), name), "a hand", None)
    with pytest.raises(EditError, match="is rejected by a person"):
        stills.crop("nolan", named(stills_on_show(curated.studio, "nolan"), name), (0, 0, 0.5, 0.5), "", None)
    now = named(stills_on_show(curated.studio, "nolan"), name).decision
    assert now is not None
    assert now.decision == "reject"


def test_a_click_reads_each_version_once(looked_at: Curated, monkeypatch: pytest.MonkeyPatch) -> None:
    first = stills_on_show(looked_at.studio, "nolan")
    read, reads = Store.read, list[str]()

    def noted(store: Store, name: str) -> bytes:
        reads.append(name)
        return read(store, name)

    monkeypatch.setattr(Store, "read", noted)
    assert stills_on_show(looked_at.studio, "nolan") == first
    assert not [name for name in reads if "still_decisions" in name or name.endswith("artifact.json")]
