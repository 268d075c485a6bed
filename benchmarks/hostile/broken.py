"""Broken image files: what becomes of good ones by a fault, or by somebody who means it.

Belongs here: one change of a file's bytes each, drawn by a seeded generator.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from random import Random

from benchmarks.hostile.good import SIZE

Change = Callable[[Random, bytes], bytes]
_LIES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 60_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_HEAD = 160  # bytes, in which most formats say what they are


def truncated(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def bits_flipped(rng: Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 4, 20, 200))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def head_flipped(rng: Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice((1, 2, 5))):
        found[rng.randrange(min(_HEAD, len(found)))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(found)


def block_zeroed(rng: Random, data: bytes) -> bytes:
    start, length = rng.randrange(len(data)), rng.choice((4, 64, 512))
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def block_random(rng: Random, data: bytes) -> bytes:
    start, length = rng.randrange(len(data)), rng.choice((4, 64, 512))
    return data[:start] + rng.randbytes(len(data[start : start + length])) + data[start + length :]


def block_inserted(rng: Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + rng.randbytes(rng.choice((1, 3, 700))) + data[start:]


def block_removed(rng: Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 2, 16, 300)) :]


def block_repeated(rng: Random, data: bytes) -> bytes:
    start, length = rng.randrange(len(data)), rng.choice((8, 100, 1000))
    return data[:start] + data[start : start + length] * rng.choice((2, 30)) + data[start:]


def size_lied(rng: Random, data: bytes) -> bytes:
    """Wherever a side is written as a number, another stands there; a number at random where none is."""
    places = [
        (place, form)
        for side in SIZE
        for form in (">I", "<I", ">H", "<H")
        if 0 <= (place := data.find(struct.pack(form, side))) < 4 * _HEAD
    ]
    place, form = rng.choice(places or [(rng.randrange(min(_HEAD, len(data))), ">I")])
    length = struct.calcsize(form)
    lie = struct.pack(form, rng.choice(_LIES) & (256**length - 1))
    return data[:place] + lie + data[place + length :]


def number_lied(rng: Random, data: bytes) -> bytes:
    """A length, a count or a place says something else."""
    place, form = rng.randrange(min(4 * _HEAD, len(data))), rng.choice((">I", "<I", ">H", "<H"))
    length = struct.calcsize(form)
    return data[:place] + struct.pack(form, rng.choice(_LIES) & (256**length - 1)) + data[place + length :]


def garbage_before(rng: Random, data: bytes) -> bytes:
    return rng.choice((b"GIF89a", b"\xff\xd8\xff", b"%PDF-1.4\n", b"PK\3\4", b"<html><script>", b"\0" * 512)) + data


def garbage_after(rng: Random, data: bytes) -> bytes:
    return data + rng.randbytes(5000) + rng.choice((b"<?php system($_GET[0]);", b"PK\5\6" + bytes(18), data))


CHANGES: tuple[Change, ...] = (
    truncated,
    bits_flipped,
    head_flipped,
    block_zeroed,
    block_random,
    block_inserted,
    block_removed,
    block_repeated,
    size_lied,
    number_lied,
    garbage_before,
    garbage_after,
)
_SUFFIXES = (".jpg", ".png", ".webp", ".tif", ".gif", ".bmp", ".heic", ".exe", "")


def broken_file(rng: Random, good: Mapping[str, bytes]) -> tuple[str, bytes]:
    """A name and the content of one good file after one to three changes."""
    source = rng.choice(sorted(good))
    data = good[source]
    made = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        if rng.random() < 0.1:  # two files in one
            other = good[rng.choice(sorted(good))]
            data, what = data[: rng.randrange(1, len(data) + 1)] + other[rng.randrange(len(other)) :], "spliced"
        else:
            change = rng.choice(CHANGES)
            data, what = change(rng, data or b"\0"), change.__name__
        made.append(what)
    if data.startswith(b"\x89PNG") and rng.random() < 0.7:
        data = sums_mended(data)  # else every change of a PNG would end at its sums
    stem, _, suffix = source.rpartition(".")
    wrong = rng.choice(_SUFFIXES) if rng.random() < 0.15 else f".{suffix}"
    return f"{stem}-{suffix}-{'-'.join(made)}{wrong}", data


def sums_mended(data: bytes) -> bytes:
    """A PNG with the right sum behind each chunk, as far as there are chunks."""
    found, place = bytearray(data), 8
    while place + 12 <= len(found):
        (length,) = struct.unpack_from(">I", found, place)
        end = place + 8 + length
        if end + 4 > len(found):
            break
        struct.pack_into(">I", found, end, zlib.crc32(found[place + 4 : end]))
        place = end + 4
    return bytes(found)
