"""Hostile and odd files among stills: kept or rejected with a reason; `benchmarks.hostile_images` tries 1000."""

import struct
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image

from benchmarks.hostile.good import good_files, picture, plain_ppm, png, saved, srgb
from benchmarks.hostile.made import scans
from benchmarks.hostile.places import be_bound_by_modes, fill
from director_diffusion.errors import StillsError
from director_diffusion.plain_text import is_plain
from director_diffusion.progress import Silent
from director_diffusion.specs import StillsRules
from director_diffusion.stills.decode import UndecodableError, decode
from director_diffusion.stills.ingest import ingest_stills
from director_diffusion.stills.raw import list_raw_files, list_still_decisions, list_written_captions
from director_diffusion.storage.store import Store

FILES = 70
UNKNOWN = {"dds", "dib", "eps", "icns", "ico", "im", "msp", "palm", "pcx", "pdf", "qoi", "sgi", "spider", "xbm"}
Result = TypeVar("Result")
Put = Callable[..., Path]


def as_ordinary_user(work: Callable[[], Result]) -> Result:
    """Files' modes bind the thread that works, and those that it starts."""
    with ThreadPoolExecutor(1, initializer=be_bound_by_modes) as thread:
        return thread.submit(work).result()


def ann(store: Store) -> Path:
    assert store.local_root is not None
    return store.local_root / "stills" / "ann"


def test_every_hostile_file_is_kept_or_rejected_with_a_reason(store: Store, tmp_path: Path) -> None:
    files = fill(ann(store), FILES, seed=3, large=False)
    raw = as_ordinary_user(lambda: list_raw_files(store, "ann"))
    still_set = as_ordinary_user(lambda: ingest_stills(store, raw, StillsRules(), tmp_path / "out", Silent()))
    assert len(still_set.rows) == files == FILES
    assert still_set.kept
    for row in still_set.rejected:
        assert row.reason, row.name
        assert is_plain(row.reason, lines=False), row.name
    reasons = {row.name: row.reason for row in still_set.rejected}
    assert reasons["pipe.jpg"] == reasons["socket.jpg"] == "is not a regular file; remove it"
    assert "leads out" in reasons["passwd.jpg"]
    assert "does not exist" in reasons["nowhere.jpg"]
    assert "cannot be read" in reasons["itself.jpg"]
    assert {file.film for file in raw if file.role == "mask"} == {"film_000"}
    captions = as_ordinary_user(lambda: list_written_captions(store, "ann"))
    problems = {caption.stem: caption.problem for caption in captions if caption.problem}
    assert {"nul", "latin", "empty", "turning", "wide", "long", "large", "pipe", "folder", "passwd", "itself"} == {
        *problems
    }
    assert as_ordinary_user(lambda: list_still_decisions(store, "ann")) == []


def test_a_film_that_may_not_be_looked_into_is_a_row(put: Put, store: Store) -> None:
    put("open/a.jpg", picture(1))
    closed = put("closed/b.jpg", picture(2)).parent
    closed.chmod(0)
    try:
        rows = as_ordinary_user(lambda: list_raw_files(store, "ann"))
        assert as_ordinary_user(lambda: list_written_captions(store, "ann")) == []
        assert {row.file: row.problem for row in rows} == {
            "a.jpg": "",
            "closed": "is a folder that this user may not look into; give this user read access to it",
        }
        ann(store).chmod(0)
        with pytest.raises(StillsError, match="may not be looked into"):
            as_ordinary_user(lambda: list_raw_files(store, "ann"))
    finally:
        ann(store).chmod(0o700)
        closed.chmod(0o700)


def test_good_files_of_all_kinds_are_decoded_or_of_no_known_format() -> None:
    for name, data in good_files().items():
        kind = name.removeprefix("other.")
        if kind in UNKNOWN or name.startswith("float."):
            with pytest.raises(UndecodableError, match=r"known format|floating-point"):
                decode(data, 100)
        else:
            image = decode(data, 100).image
            assert image.mode == "RGB", name
            assert np.asarray(image).std() > 5, f"{name}: the picture is there"


def thin() -> bytes:
    return png((1, 90_000), 8, 0, b"\0\x80" * 90_000)


def large_progressive() -> bytes:
    flat = Image.new("L", (4000, 3000), 90)
    return scans(saved(flat, "JPEG", progressive=True), 150)


def odd_maximum() -> bytes:
    return b"P6 1000 600 254\n" + bytes(1_800_000)


def words() -> bytes:
    return plain_ppm(Image.new("RGB", (1000, 600)))


def words_with_remarks() -> bytes:
    return plain_ppm(picture(3)).replace(b" ", b" #x\n")


def runs() -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, 1000, 600, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + head + bytes(1024) + b"\1\1" * 600_000


@pytest.mark.parametrize(
    ("make", "words_of_reason"),
    [
        (thin, "a side over 65,535"),
        (large_progressive, "scans"),
        (odd_maximum, r"unusual kind \(ppm\)"),
        (words, r"unusual kind \(ppm_plain\)"),
        (words_with_remarks, "many remarks"),
        (runs, r"unusual kind \(bmp_rle\)"),
    ],
)
def test_what_would_take_very_long_is_refused_before_it_is_decoded(
    make: Callable[[], bytes], words_of_reason: str
) -> None:
    with pytest.raises(UndecodableError, match=words_of_reason):
        decode(make(), 100)


def test_progressive_files_of_a_usual_number_of_scans_are_decoded() -> None:
    assert decode(saved(picture(4, size=(4000, 3000)), "JPEG", progressive=True), 100).image.size == (4000, 3000)


def test_files_of_many_bytes_are_in_memory_one_at_a_time(put: Put, store: Store, tmp_path: Path) -> None:
    size = 48 << 20
    for number in range(4):
        with put(f"film/{number}.jpg", bytes([number])).open("r+b") as file:
            file.truncate(size)
    raw = list_raw_files(store, "ann")
    tracemalloc.start(1)
    try:
        still_set = ingest_stills(store, raw, StillsRules(), tmp_path / "out", Silent())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(still_set.rejected) == 4
    assert peak < 1.5 * size


def test_large_colour_profiles_are_not_kept_in_memory() -> None:
    files = [saved(picture(n), "TIFF", icc_profile=srgb() + bytes([n]) * (3 << 20)) for n in range(3)]
    tracemalloc.start(1)
    try:
        for data in files:
            decode(data, 100)
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert left < 2 << 20
