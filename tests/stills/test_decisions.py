"""What people decide about single stills: how it is written down, and what comes of it and of nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from director_diffusion.errors import SpecError
from director_diffusion.specs import StillsRules
from director_diffusion.stills import checks
from director_diffusion.stills.decisions import Decision, encode_decision, read_decision
from director_diffusion.stills.raw import list_raw_files, list_still_decisions
from director_diffusion.stills.rows import Still
from director_diffusion.stills.split import Member, keep_sides
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store

Scene = Callable[..., Image.Image]
Put = Callable[..., Path]
Ingest = Callable[..., StillSet]


def by_name(still_set: StillSet) -> dict[str, Still]:
    return {still.name: still for still in still_set.rows}


def sides(still_set: StillSet) -> dict[str, str]:
    return {still.name: still.split for still in still_set.kept}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("decision: drop", ["key decision = 'drop'", "'keep' or 'reject'"]),
        ("decision: reject", ["a rejection needs a `reason` in words"]),
        ("decision: reject\nreason: '  '", ["a rejection needs a `reason`"]),
        ("decision: reject\nreason: x\ncrop: [0, 0, 1, 1]", ["a rejected still has no `crop`"]),
        ("reason: lovely", ["decides nothing", "decision: keep"]),
        ("keep: true", ["key keep is not known", "allowed are decision, reason, crop, who"]),
        ("crop: [0, 0, 1920, 1080]", ["key crop.2 = 1920", "less than or equal to 1"]),
        ("crop: [0.5, 0, 0.5, 1]", ["crop = [0.5, 0.0, 0.5, 1.0] is empty", "left < right"]),
        ("crop: [0, 0, 1]", ["key crop.3 is missing"]),
        ("crop: [0, 0, .nan, 1]", ["key crop.2 = nan"]),
        ("crop: ['0', 0, 1, 1]", ["key crop.0 = '0'", "valid number"]),
        ('decision: reject\nreason: "a\\u0007b"', ["key reason", "one line without control characters"]),
        ("decision: keep\nreason: " + "x" * 301, ["key reason", "at most 300 characters"]),
        ("just words", ["holds no mapping"]),
        ("a: [", ["is not YAML"]),
    ],
)
def test_a_slip_is_told_with_file_key_value_and_what_is_allowed(
    text: str, words: list[str], put: Put, store: Store, scene: Scene
) -> None:
    put("one/a.jpg", scene(1))
    put("one/a.jpg.decision.yaml", text.encode())
    with pytest.raises(SpecError) as caught:
        list_still_decisions(store, "ann")
    assert caught.value.thing == "stills/ann/one/a.jpg.decision.yaml"
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "decision",
    [
        Decision(decision="keep"),
        Decision(decision="reject", reason="a hand: 'before' the lens – «ja»", who="ann"),
        Decision(crop=(0.1, 0, 0.9, 1)),
        Decision(decision="keep", crop=(0.125, 0.25, 1, 1), reason="no: yes"),
    ],
)
def test_what_is_written_is_read_back(decision: Decision) -> None:
    data = encode_decision(decision)
    assert read_decision(data, "x") == decision
    assert b"{" not in data, "as a person would write it"


def test_a_decision_is_no_still_and_nothing_without_one_changes(put: Put, store: Store, scene: Scene) -> None:
    put("one/a.jpg", scene(1))
    before = list_raw_files(store, "ann")
    put("one/a.jpg.decision.yaml", b"decision: keep\n")
    assert list_raw_files(store, "ann") == before


def test_people_go_over_the_rules_but_not_over_what_is_no_picture(scene: Scene, put: Put, ingest: Ingest) -> None:
    picture = scene(1)
    put("one/big.png", picture.resize((640, 360)))
    for name in ("alike.jpg", "alike_too.jpg"):
        put(f"one/{name}", picture if name == "alike.jpg" else picture.resize((300, 170)))
    put("one/black.jpg", Image.new("RGB", (320, 180)))
    put("one/small.jpg", scene(2, (60, 40)))
    put("one/broken.jpg", b"not a picture")
    put("one/copy.png", put("one/big.png", picture.resize((640, 360))).read_bytes())
    put("one/good.jpg", scene(4))
    put("one/bad.jpg", scene(5))
    for name in ("alike.jpg", "black.jpg", "small.jpg", "broken.jpg", "copy.png", "good.jpg", "gone.jpg"):
        put(f"one/{name}.decision.yaml", b"decision: keep\nwho: ann\n")
    put("one/bad.jpg.decision.yaml", b"decision: reject\nreason: the same logo\n")
    still_set = ingest()
    rows = by_name(still_set)
    assert {still.name for still in still_set.kept} == {"big.png", "alike.jpg", "black.jpg", "small.jpg", "good.jpg"}
    assert rows["alike.jpg"].warnings[-1].startswith("kept by ann, by the rules: nearly the same as one/big.png")
    assert "kept by ann, by the rules: is a black frame" in rows["black.jpg"].warnings
    assert rows["good.jpg"].warnings == (), "no rule was overridden"
    assert rows["bad.jpg"].reason == "rejected by a person: the same logo"
    assert rows["bad.jpg"].reference, "it can be looked at"
    assert "nearly the same" in rows["alike_too.jpg"].reason
    for still in still_set.kept:
        assert still_set.open(still).size == (still.width, still.height)
    decisions = list_still_decisions(still_set.store, "ann")
    found = {one.name: one for one in checks.judge(still_set, StillsRules(), decisions)}
    heeded = found["decisions_heeded"]
    assert not heeded.passed
    assert not heeded.blocking
    assert "5 of 8 decisions" in heeded.description
    for words in (
        "one/gone.jpg: there is no such still",
        "one/broken.jpg: cannot be kept, it is not an image",
        "one/copy.png: cannot be kept, it has the same bytes as one/big.png",
    ):
        assert words in heeded.description
    rejected = found["rejected_share"]
    assert "3 of 8 files rejected" in rejected.description, "what people take out is no fault of the files"


def test_what_was_near_the_same_as_a_rejected_still_takes_its_place(scene: Scene, put: Put, ingest: Ingest) -> None:
    put("one/a.png", scene(1).resize((640, 360)))
    put("one/b.jpg", scene(1))
    put("one/c.jpg", scene(2))
    (put("one/d.jpg", b"").parent / "d.jpg").write_bytes((put("one/c.jpg", scene(2))).read_bytes())
    assert [still.name for still in ingest().kept] == ["a.png", "c.jpg"]
    for name in ("a.png", "c.jpg"):
        put(f"one/{name}.decision.yaml", b"decision: reject\nreason: x\n")
    assert [still.name for still in ingest().kept] == ["b.jpg", "d.jpg"]


def test_a_crop_is_of_the_upright_picture_and_makes_another_still(
    scene: Scene, put: Put, ingest: Ingest, encode: Callable[..., bytes]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: 180 × 320 when upright
    put("one/turned.jpg", encode(scene(1), "JPEG", exif=exif, quality=90))
    put("one/plain.png", scene(2))
    plain = by_name(ingest())
    put("one/turned.jpg.decision.yaml", b"crop: [0, 0.5, 1, 1]\n")
    put("one/plain.png.decision.yaml", b"crop: [0.25, 0, 0.75, 1]\nwho: bob\n")
    still_set = ingest()
    rows = by_name(still_set)
    assert rows["turned.jpg"].crop == (0, 160, 180, 320)
    assert rows["plain.png"].crop == (80, 0, 240, 180)
    assert rows["plain.png"].reference == "stills/ann/one/plain.png"
    assert "cropped by bob" in rows["plain.png"].warnings
    assert {rows[name].still for name in rows}.isdisjoint(plain[name].still for name in plain)
    assert still_set.open(rows["plain.png"]).tobytes() == scene(2).crop((80, 0, 240, 180)).tobytes()
    put("one/plain.png.decision.yaml", b"crop: [0, 0, 0.1, 0.1]\n")
    assert "32 × 18 pixels, with a side under 48" in by_name(ingest())["plain.png"].reason


@pytest.mark.parametrize("films", [1, 5])
def test_the_split_of_other_stills_stays(films: int, scene: Scene, put: Put, ingest: Ingest) -> None:
    for seed in range(30):
        put(f"film{seed % films}/{seed:02}.jpg", scene(seed))
    before = sides(ingest())
    gone = [name for name, side in before.items() if side == "train"][:7]
    gone += [name for name, side in before.items() if side == "held_out"][:1]
    cropped = [name for name in before if name not in gone][::5]
    for name in gone:
        put(f"film{int(name[:2]) % films}/{name}.decision.yaml", b"decision: reject\nreason: x\n")
    for name in cropped:
        put(f"film{int(name[:2]) % films}/{name}.decision.yaml", b"crop: [0.1, 0, 0.9, 1]\n")
    after = sides(ingest())
    assert after == {name: side for name, side in before.items() if name not in gone}


def test_a_near_duplicate_that_is_kept_goes_to_its_twins_side(scene: Scene, put: Put, ingest: Ingest) -> None:
    for seed in range(20):
        put(f"film{seed % 4}/{seed:02}.png", scene(seed))
    before = sides(ingest())
    for name in before:
        seed = int(name[:2])
        put(f"film{(seed + 1) % 4}/{seed:02}_twin.png", scene(seed).resize((318, 178)))
        put(f"film{(seed + 1) % 4}/{seed:02}_twin.png.decision.yaml", b"decision: keep\n")
    still_set = ingest()
    after = sides(still_set)
    assert len(after) == 40
    assert {name: side for name, side in after.items() if name in before} == before
    assert all(after[name.replace(".png", "_twin.png")] == side for name, side in before.items())
    outcomes = {one.name: one.passed for one in checks.judge(still_set, StillsRules())}
    assert outcomes["no_leak_across_split"]


def member(name: str, cluster: int, film: str = "a") -> Member:
    return Member(film, cluster, name)


def test_what_links_both_sides_is_trained_on_and_too_few_are_split_anew() -> None:
    known = {"t": "train", "u": "train", "v": "validation", "h": "held_out", "i": "held_out", "j": "held_out"}
    stills = [member(name, place) for place, name in enumerate(known)]
    assert keep_sides(stills, known) == list(known.values())  # type: ignore[arg-type]
    bridge = [member(name, 0 if name in "th" else place) for place, name in enumerate(known)]
    assert keep_sides([*bridge, member("new", 0)], known) == [  # type: ignore[arg-type]
        "train", "train", "validation", "train", "held_out", "held_out", "train",
    ]  # fmt: skip
    assert keep_sides([*stills, member("new", 9)], known)[-1] == "train"  # type: ignore[arg-type, index]
    away = [member(name, place, "b" if known[name] != "train" else "a") for place, name in enumerate(known)]
    assert keep_sides([*away, member("new", 9, "b")], known)[-1] == "held_out"  # type: ignore[arg-type, index]
    assert keep_sides(stills[:4], known) is None  # type: ignore[arg-type]
