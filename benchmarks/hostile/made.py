"""Image files that were made to do harm: they say too much, hold too much, or take too long.

Belongs here: contents alone.  Names and kinds of files that are no files are `places`'s.
"""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image

from benchmarks.hostile.good import chunk, exif, packed_bmp, picture, plain_ppm, png, saved, srgb

JUST_ALLOWED = (11_500, 8_600)  # 98.9 of 100 megapixels
_COLOURS = {"bilevel": (1, 0, 1 / 8), "grey": (8, 0, 1), "colour": (8, 2, 3), "alpha": (8, 6, 4), "deep": (16, 6, 8)}


def made_files(*, large: bool) -> Iterator[tuple[str, bytes]]:
    """By name; with `large` also those that take seconds and hundreds of megabytes to be refused or decoded."""
    yield from _empty_and_others()
    yield from _pngs()
    yield from _jpegs()
    yield from _others()
    if large:
        yield from _large()


def _empty_and_others() -> Iterator[tuple[str, bytes]]:
    yield "empty.jpg", b""
    yield "one_byte.png", b"\x89"
    yield "zeros.tif", bytes(100_000)
    yield "text.jpg", b"I am a picture, believe me.\n" * 50
    yield "page.png", b"<!doctype html><script>alert(1)</script>"
    yield "drawing.jpg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    yield "script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n"
    yield "archive.jpg", b"PK\3\4" + bytes(26)
    yield "picture_and_archive.jpg", saved(picture(400), "JPEG") + b"PK\3\4" + bytes(26) + b"PK\5\6" + bytes(18)
    yield "picture_and_page.gif", saved(picture(401, "P"), "GIF").replace(b"GIF89a", b"GIF89a", 1) + b"*/=1;alert(1)//"


def _pngs() -> Iterator[tuple[str, bytes]]:
    start, end = b"\x89PNG\r\n\x1a\n", chunk(b"IEND", b"")

    def header(width: int, height: int, depth: int = 8, colours: int = 2) -> bytes:
        return start + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))

    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    for width, height in ((60_000, 60_000), (0, 0), (0, 10), (10, 0), (2**31 - 1, 2**31 - 1), (1, 90_000_000)):
        yield f"says_{width}x{height}.png", header(width, height) + pixels + end
    for depth, colours in ((3, 2), (16, 3), (255, 255), (4, 6)):
        yield f"depth_{depth}_{colours}.png", header(9, 9, depth, colours) + pixels + end
    fine = _lines(picture(402))
    size = picture(402).size
    yield "many_chunks.png", png(size, 8, 2, fine, before=chunk(b"teSt", b"") * 50_000)
    yield "many_words.png", png(size, 8, 2, fine, before=chunk(b"tEXt", b"key\0" + b"word" * 9) * 20_000)
    bomb = zlib.compress(bytes(100_000_000), 9)
    yield "words_bomb.png", png(size, 8, 2, fine, before=chunk(b"zTXt", b"key\0\0" + bomb))
    yield "international_bomb.png", png(size, 8, 2, fine, before=chunk(b"iTXt", b"key\0\1\0\0\0" + bomb))
    yield "profile_bomb.png", png(size, 8, 2, fine, before=chunk(b"iCCP", b"key\0\0" + bomb))
    yield "profile_broken.png", png(size, 8, 2, fine, before=chunk(b"iCCP", b"key\0\0" + zlib.compress(srgb()[:200])))
    yield "exif_large.png", png(size, 8, 2, fine, before=chunk(b"eXIf", b"MM\0*" + bytes(5_000_000)))
    yield "palette_missing.png", header(4, 4, 8, 3) + chunk(b"IDAT", zlib.compress(bytes(20))) + end
    yield "too_many_pixels.png", png(size, 8, 2, fine * 300)
    yield "frames_many.png", png(size, 8, 2, fine, before=chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    yield "nested.png", png(size, 8, 2, fine, before=chunk(b"teSt", png(size, 8, 2, fine) * 200))


def _jpegs() -> Iterator[tuple[str, bytes]]:
    fine = saved(picture(403), "JPEG")

    def with_segment(marker: int, *parts: bytes) -> bytes:
        segments = (b"\xff" + bytes([marker]) + struct.pack(">H", len(part) + 2) + part for part in parts)
        return fine[:2] + b"".join(segments) + fine[2:]

    frame = fine.index(b"\xff\xc0")
    for width, height in ((65_500, 65_500), (0, 0), (65_535, 1), (1, 65_535), (10_000, 9_999)):
        data = bytearray(fine)
        struct.pack_into(">HH", data, frame + 5, height, width)
        yield f"says_{width}x{height}.jpg", bytes(data)
    yield "arithmetic.jpg", fine[: frame + 1] + b"\xc9" + fine[frame + 2 :]
    yield "lossless.jpg", fine[: frame + 1] + b"\xc3" + fine[frame + 2 :]
    yield "many_remarks.jpg", with_segment(0xFE, *[b"remark"] * 50_000)
    profile = srgb() + bytes(12_000_000)
    parts = [profile[place : place + 60_000] for place in range(0, len(profile), 60_000)]
    yield (
        "profile_large.jpg",
        with_segment(
            0xE2, *(b"ICC_PROFILE\0" + bytes((index + 1, len(parts))) + part for index, part in enumerate(parts))
        ),
    )
    yield "profile_broken.jpg", saved(picture(404), "JPEG", icc_profile=srgb()[:150] + b"\xff" * 300)
    yield "profile_of_another_kind.jpg", saved(picture(405, "L"), "JPEG", icc_profile=srgb())
    for value in (0, 9, 65_535):
        yield f"turned_{value}.jpg", saved(picture(406 + value % 7), "JPEG", exif=exif(value))
    tag = struct.pack("<HHII", 0x0112, 2, 5, 8)  # text, where a number should be
    for name, body in {
        "exif_text": struct.pack("<H", 1) + tag + bytes(4),
        "exif_circle": struct.pack("<HHHIII", 1, 0x8769, 4, 1, 8, 8),
        "exif_count": struct.pack("<HHHIII", 1, 0x0112, 5, 2**32 - 1, 2**32 - 1, 0),
        "exif_many": struct.pack("<H", 65_535) + tag * 5000,
    }.items():
        yield f"{name}.jpg", with_segment(0xE1, b"Exif\0\0II*\0" + struct.pack("<I", 8) + body)
    yield "scans.jpg", scans(fine, 1000)
    yield "scans_many.jpg", scans(saved(Image.new("L", (4000, 3000), 128), "JPEG", progressive=True), 150)


def scans(data: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan comes that many times."""
    if b"\xff\xc2" not in data:
        with Image.open(BytesIO(data)) as image:
            data = saved(image, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def _others() -> Iterator[tuple[str, bytes]]:
    for side in (0, 65_535):
        yield f"says_{side}.gif", b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6) + b";"
    frames = [Image.new("P", (8, 8), number % 250) for number in range(2000)]
    yield "many_frames.gif", saved(frames[0], "GIF", save_all=True, append_images=frames[1:], optimize=False)
    yield "circle.tif", b"II*\0" + struct.pack("<IHHHIII", 8, 1, 256, 4, 1, 9, 8)
    yield "count.tif", b"II*\0" + struct.pack("<IHHHIII", 8, 1, 273, 4, 2**32 - 1, 8, 0)
    yield "directories.tif", b"II*\0" + struct.pack("<IH", 8, 65_535) + struct.pack("<HHII", 256, 4, 1, 9) * 5000
    fine = saved(picture(410), "BMP")
    for place, form, value in ((18, "<i", -120), (22, "<i", -(2**31)), (46, "<I", 2**31), (10, "<I", 2**31)):
        data = bytearray(fine)
        struct.pack_into(form, data, place, value)
        yield f"says_{place}_{value}.bmp", bytes(data)
    yield "leaps.bmp", packed_bmp(Image.new("P", (120, 68)))[:1078] + b"\0\2\xff\xff" * 3000
    for head in (b"P6 0 0 255\n", b"P6 -5 5 255\n", b"P6 9 9 0\n", b"P5 9 9 99999\n", b"P6 " + b"9" * 5000,
                 b"PF 9 9 0\n", b"P3 99999 99999 255\n1",
                 b"P4#" + b"x" * 2_000_000, b"P7\nWIDTH 9\nENDHDR\n"):  # fmt: skip
        yield f"says_{head[:10].hex()}.ppm", head + bytes(300)
    yield "words.ppm", plain_ppm(picture(411)).replace(b" ", b" #remark\n")
    yield "says_0.tga", bytes(2) + b"\2" + bytes(9) + struct.pack("<HHBB", 0, 0, 24, 0) + bytes(100)
    yield (
        "says_65535.tga",
        bytes(2) + b"\12" + bytes(9) + struct.pack("<HHBB", 65_535, 1500, 24, 0) + b"\xff\1\2\3" * 900,
    )
    canvas = struct.pack("<I", 16_383 | 0x10 << 24)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + canvas * 2
    yield "canvas.webp", b"RIFF" + struct.pack("<I", len(body)) + body
    box = saved(picture(412), "AVIF", speed=10)
    place = box.index(b"ispe")
    for side in (0, 9_000, 2**32 - 1):
        yield f"says_{side}.avif", box[: place + 8] + struct.pack(">II", side, side) + box[place + 16 :]
    wavelets = saved(picture(413), "JPEG2000")
    place = wavelets.index(b"\xff\x51")
    for side in (0, 9_900, 2**32 - 1):
        data = bytearray(wavelets)
        struct.pack_into(">II", data, place + 6, side, side)
        yield f"says_{side}.jp2", bytes(data)
        struct.pack_into(">II", data, place + 22, 1, 1)  # tiles of one pixel
        yield f"tiles_{side}.jp2", bytes(data)


def _large() -> Iterator[tuple[str, bytes]]:
    """What is within the limits, as far as its head tells, and is as much work as it can be."""
    width, height = JUST_ALLOWED
    for name, (depth, colours, size) in _COLOURS.items():
        line = b"\0" + bytes(range(1, 200)) * int(width * size / 199) + b"\x88" * 300
        lines = line[: 1 + -(-width * depth * {0: 1, 2: 3, 6: 4}[colours] // 8)] * height
        yield f"bomb_{name}.png", png(JUST_ALLOWED, depth, colours, lines)
    flat = picture(420, size=(500, 374)).resize(JUST_ALLOWED, Image.Resampling.NEAREST)
    yield "bomb.jpg", saved(flat, "JPEG", quality=30, exif=exif(5))
    yield "bomb_progressive.jpg", scans(saved(flat.convert("L"), "JPEG", progressive=True, quality=10), 190)
    for name, size in {"bomb": (11_000, 8_900), "bomb_allowed": (8_300, 6_000)}.items():
        yield f"{name}.webp", saved(flat.resize(size), "WEBP", method=0, quality=5)
    for name, size in {"bomb": JUST_ALLOWED, "bomb_allowed": (10_000, 7_480)}.items():
        yield f"{name}.tif", saved(flat.resize(size).convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "bomb.jp2", saved(flat.resize((6000, 4000)), "JPEG2000", quality_layers=[400])
    yield "bomb.avif", saved(flat.resize((8000, 6000)), "AVIF", speed=10, quality=5)
    some = np.random.default_rng(1).integers(0, 250, (1400, 2100, 3), dtype=np.uint8)
    yield "slow_maximum.ppm", b"P6 2100 1400 250\n" + some.tobytes()
    yield "slow_words.ppm", plain_ppm(Image.fromarray(some))
    yield "slow_runs.bmp", packed_bmp(Image.fromarray(np.tile(some[..., 0], (2, 2))).convert("P"))


def _lines(image: Image.Image) -> bytes:
    return b"".join(b"\0" + line.tobytes() for line in np.asarray(image))
