"""From a folder of files to a still set: a row for every file, and nothing kept that is not fit."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from director_diffusion.errors import StillsError
from director_diffusion.progress import Silent
from director_diffusion.specs import StillsRules
from director_diffusion.stills import checks
from director_diffusion.stills.ingest import ingest_stills
from director_diffusion.stills.raw import list_raw_files
from director_diffusion.stills.rows import Still
from director_diffusion.stills.sheets import contact_sheet
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Manifest, Store
from director_diffusion.storage.artifact import describe_files, write_artifact
from director_diffusion.tables import read_table

Scene = Callable[..., Image.Image]
Put = Callable[..., Path]
Ingest = Callable[..., StillSet]
Encode = Callable[..., bytes]


def by_name(still_set: StillSet) -> dict[str, Still]:
    return {still.name: still for still in still_set.rows}


def letterboxed(picture: Image.Image) -> Image.Image:
    frame = Image.new("RGB", (320, 180))
    frame.paste(picture.resize((320, 134)), (0, 23))
    return frame


def test_every_file_gets_a_row_and_every_rejection_a_reason(
    scene: Scene, encode: Encode, put: Put, ingest: Ingest
) -> None:
    picture = scene(1)
    put("one/a.jpg", picture)
    put("one/big.png", picture.resize((640, 360)))
    put("one/copy.jpg", (put("one/a.jpg", picture)).read_bytes())
    put("one/black.jpg", Image.new("RGB", (320, 180)))
    put("one/blue.jpg", Image.new("RGB", (320, 180), (30, 60, 200)))
    put("one/small.jpg", scene(2, (60, 40)))
    put("one/text.jpg", b"not a picture at all")
    put("one/cut.jpg", encode(scene(3), "JPEG")[:4000])
    put("one/bomb.png", Image.new("RGB", (2500, 1000)))
    put("one/nothing.jpg", b"")
    put("one/good.jpg", scene(4))
    put("one/good.mask.png", Image.new("L", (320, 180), 255))
    put("one/good.txt", b"a street")
    (put("one/x.jpg", scene(5)).parent / "out.jpg").symlink_to("/etc/hostname")
    rows = by_name(ingest(max_megapixels=2))
    reasons = {name: still.reason for name, still in rows.items() if still.status == "rejected"}
    expected = {
        "copy.jpg": "same bytes as one/a.jpg",
        "a.jpg": "nearly the same as one/big.png",
        "black.jpg": "black frame",
        "blue.jpg": "solid colour",
        "small.jpg": "60 × 40 pixels, with a side under 48",
        "text.jpg": "not an image",
        "cut.jpg": "truncated",
        "bomb.png": "2500 × 1000 pixels, over the limit of 2 megapixels",
        "nothing.jpg": "empty",
        "out.jpg": "leads out of the store",
    }
    assert set(reasons) == set(expected)
    for name, text in expected.items():
        assert text in reasons[name], (name, reasons[name])
    assert {name for name in rows if name not in reasons} == {"big.png", "good.jpg", "x.jpg"}
    assert all(still.split == "none" and still.cluster == -1 for name, still in rows.items() if name in reasons)


def test_equal_pixels_in_other_bytes_are_told(scene: Scene, put: Put, ingest: Ingest) -> None:
    put("one/a.png", scene(1))
    put("one/b.png", scene(1), compress_level=1)
    put("one/c.png", scene(2))
    assert by_name(ingest())["b.png"].reason == "has the same pixels as one/a.png"


def test_duplicates_are_found_after_the_crop(scene: Scene, put: Put, ingest: Ingest) -> None:
    for seed in range(4):
        put(f"boxed/{seed}.png", letterboxed(scene(seed)))
    put("whole/same.png", scene(0).resize((320, 134)))
    still_set = ingest()
    assert [still.name for still in still_set.rejected] == ["same.png"]
    assert "same as boxed/0.png" in still_set.rejected[0].reason
    assert {still.crop for still in still_set.kept if still.film == "boxed"} == {(0, 23, 320, 157)}


def test_plain_files_are_kept_by_reference_and_others_as_fine_jpeg(
    scene: Scene, encode: Encode, put: Put, ingest: Ingest, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    put("one/plain.jpg", scene(1))
    put("one/plain.png", scene(2))
    put("one/turned.jpg", encode(scene(3), "JPEG", exif=exif, quality=90))
    put("one/grey.png", encode(scene(4).convert("L"), "PNG"))
    put("one/web.webp", encode(scene(5), "WEBP", lossless=True))
    still_set = ingest()
    rows = by_name(still_set)
    assert rows["plain.jpg"].reference == "stills/ann/one/plain.jpg"
    assert rows["plain.jpg"].file == ""
    assert still_set.references == ("stills/ann/one/plain.jpg", "stills/ann/one/plain.png")
    assert rows["turned.jpg"].file == f"images/{rows['turned.jpg'].still}.jpg"
    assert (rows["turned.jpg"].width, rows["turned.jpg"].height) == (180, 320)
    assert len(list((tmp_path / "out/images").iterdir())) == 3
    for still in still_set.kept:
        picture = still_set.open(still)
        assert picture.mode == "RGB"
        assert picture.size == (still.width, still.height)
    with Image.open(tmp_path / "out" / rows["web.webp"].file) as stored:
        assert stored.format == "JPEG"
        assert stored.layer[0][1:3] == (1, 1)  # type: ignore[attr-defined]  # 4:4:4
    error = np.abs(np.asarray(still_set.open(rows["web.webp"])).astype(int) - np.asarray(scene(5)))
    assert error.mean() < 2


def test_cropped_stills_open_without_bars_however_they_are_stored(scene: Scene, put: Put, ingest: Ingest) -> None:
    for seed in range(3):
        put(f"one/{seed}.png", letterboxed(scene(seed)))
    put("one/grey.png", letterboxed(scene(7)).convert("L"))
    still_set = ingest()
    for still in still_set.kept:
        picture = np.asarray(still_set.open(still))
        assert picture.shape == (134, 320, 3)
        assert picture[[0, -1]].mean() > 40
    assert {bool(still.file) for still in still_set.kept} == {True, False}
    assert ingest(remove_bars=False).kept[0].crop == ()


def test_ids_say_content_and_crop(scene: Scene, put: Put, ingest: Ingest) -> None:
    put("one/a.png", letterboxed(scene(1)))
    put("one/b.png", letterboxed(scene(2)))
    first = by_name(ingest())
    again = by_name(ingest())
    whole = by_name(ingest(remove_bars=False))
    assert first == again
    assert first["a.png"].still != whole["a.png"].still
    assert len({still.still for still in first.values()}) == 2


def test_the_table_holds_the_rows_in_order_and_equal_input_gives_equal_bytes(
    scene: Scene, put: Put, ingest: Ingest, tmp_path: Path
) -> None:
    for film in ("b", "a"):
        for seed in range(4):
            put(f"{film}/{seed}.jpg", scene(seed + 10 * (film == "a")))
    still_set = ingest()
    table = tmp_path / "out/stills.parquet"
    assert tuple(read_table(table, Still)) == still_set.rows
    assert [(still.film, still.name) for still in still_set.rows][:2] == [("a", "0.jpg"), ("a", "1.jpg")]
    before = table.read_bytes()
    shutil.rmtree(tmp_path / "out")
    ingest()
    assert table.read_bytes() == before


def test_a_file_that_changed_or_went_is_an_error_that_names_it(
    store: Store, scene: Scene, put: Put, ingest: Ingest, tmp_path: Path
) -> None:
    path = put("one/a.jpg", scene(1))
    put("one/b.jpg", scene(2))
    raw = list_raw_files(store, "ann")
    still_set = ingest()
    still = by_name(still_set)["a.jpg"]
    path.write_bytes(b"other")
    way_out = r"stills/ann/one/a.jpg: .*Materialize raw_stills and stills again"
    with pytest.raises(StillsError, match=way_out):
        still_set.open(still)
    with pytest.raises(StillsError, match=way_out):
        ingest_stills(store, raw, StillsRules(), tmp_path / "again", Silent())
    path.unlink()
    with pytest.raises(StillsError, match=way_out):
        still_set.open(still)


def test_rejected_pictures_can_be_looked_at_and_others_say_why_not(scene: Scene, put: Put, ingest: Ingest) -> None:
    put("one/a.png", scene(1))
    put("one/b.png", scene(1), compress_level=1)
    put("one/text.jpg", b"words")
    still_set = ingest()
    rows = by_name(still_set)
    assert still_set.open(rows["b.png"]).size == (320, 180)
    with pytest.raises(StillsError, match=r"one/text.jpg: is not an image"):
        still_set.open(rows["text.jpg"])


def test_a_set_is_read_back_from_its_artifact(
    store: Store, scene: Scene, encode: Encode, put: Put, ingest: Ingest, tmp_path: Path
) -> None:
    put("one/a.jpg", scene(1))
    put("one/b.webp", encode(scene(2), "WEBP"))
    made = ingest()
    manifest = Manifest(
        asset=("stills",),
        partition="ann",
        key="k",
        plain_key="k",
        version="v",
        files=describe_files(tmp_path / "out"),
        code_version="1",
        seconds=0,
    )
    read = StillSet.of(write_artifact(store, tmp_path / "out", manifest))
    assert read.rows == made.rows
    assert [read.open(still).size for still in read.kept] == [(320, 180)] * 2


def test_odd_pictures_come_with_advice(scene: Scene, encode: Encode, put: Put, ingest: Ingest) -> None:
    put("one/moving.gif", encode(scene(1), "GIF", save_all=True, append_images=[scene(2)]))
    put("one/soft.png", scene(3, (16, 9)).resize((320, 180), Image.Resampling.BICUBIC))
    for seed in range(4, 8):
        put(f"one/{seed}.png", scene(seed))
    put("one/boxed.png", letterboxed(scene(9)))
    rows = by_name(ingest())
    assert rows["moving.gif"].warnings == ("animated: its first frame is used",)
    assert "badly blurred" in rows["soft.png"].warnings[0]
    assert "seems to have black bars" in rows["boxed.png"].warnings[0]
    assert rows["4.png"].warnings == ()


# --- checks ------------------------------------------------------------------------------------------------------


def outcomes(still_set: StillSet, **rules: object) -> dict[str, tuple[bool, str]]:
    found = checks.judge(still_set, StillsRules(**rules))  # type: ignore[arg-type]
    assert [outcome.name for outcome in found] == [check.name for check in checks.CHECKS]
    assert [outcome.name for outcome in found if not outcome.blocking] == ["decisions_heeded"]
    return {outcome.name: (outcome.passed, outcome.description) for outcome in found}


def test_enough_different_stills_pass(scene: Scene, put: Put, ingest: Ingest) -> None:
    for seed in range(15):
        put(f"film{seed // 3}/{seed}.jpg", scene(seed))
    still_set = ingest()
    found = outcomes(still_set)
    assert all(passed for passed, _ in found.values()), found
    assert (len(still_set.train), len(still_set.validation), len(still_set.held_out)) == (12, 1, 2)
    assert len({still.film for still in (*still_set.validation, *still_set.held_out)}) == 1
    assert found["enough_distinct_stills"][1] == "15 distinct stills of 15 files; at least 12 are needed."


def test_too_few_distinct_stills_fail_with_numbers_and_a_way_out(scene: Scene, put: Put, ingest: Ingest) -> None:
    for place in range(14):
        put(f"one/{place}.jpg", scene(1), quality=50 + place)
    passed, text = outcomes(ingest())["enough_distinct_stills"]
    assert not passed
    assert "1 distinct stills of 14 files" in text
    assert "Add 11 or more" in text
    assert "13 near-duplicates" in text


def test_nothing_usable_is_judged_and_does_not_crash(put: Put, ingest: Ingest) -> None:
    put("one/a.jpg", b"words")
    put("one/b.jpg", Image.new("RGB", (320, 180)))
    still_set = ingest()
    assert still_set.kept == ()
    found = outcomes(still_set)
    assert {name for name, (passed, _) in found.items() if passed} == {"decisions_heeded"}
    assert "2 of 2 files rejected (100%)" in found["rejected_share"][1]
    assert contact_sheet(still_set).mode == "RGB"


def test_a_leak_across_the_split_is_found(scene: Scene, put: Put, ingest: Ingest) -> None:
    for seed in range(14):
        put(f"film{seed // 2}/{seed}.jpg", scene(seed))
    still_set = ingest()
    train, away = still_set.train[0], still_set.held_out[0]
    leaky = [replace(still, phash=away.phash) if still is train else still for still in still_set.rows]
    passed, text = outcomes(StillSet(leaky, still_set.store, still_set.folder))["no_leak_across_split"]
    assert not passed
    assert f"{train.film}/{train.name}" in text


def test_the_contact_sheet_shows_films_sides_and_rejections(scene: Scene, put: Put, ingest: Ingest) -> None:
    for seed in range(12):
        put(f"film{seed // 3}/{seed}.jpg", scene(seed))
    put("film0/broken\nname.jpg", b"words")
    put("film0/dup.png", scene(0))
    still_set = ingest()
    sheet = contact_sheet(still_set)
    colours = {colour for _, colour in sheet.getcolors(1 << 24) or []}
    assert {(70, 130, 200), (235, 160, 50), (170, 60, 60)} <= colours
    assert contact_sheet(still_set, limit=3).height < sheet.height
