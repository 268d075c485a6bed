"""Good image files: a small picture in every format and kind of file that Pillow writes, and some that it only reads.

Belongs here: files that are as they should be.  What is done to them is `broken`'s.
"""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

SIZE = (120, 68)

_NAMED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "baseline.jpg": ("RGB", "JPEG", {"quality": 88}),
    "progressive.jpg": ("RGB", "JPEG", {"progressive": True}),
    "restarts.jpg": ("RGB", "JPEG", {"restart_marker_blocks": 4, "subsampling": 0}),
    "grey.jpg": ("L", "JPEG", {}),
    "cmyk.jpg": ("CMYK", "JPEG", {}),
    "bilevel.png": ("1", "PNG", {}),
    "grey.png": ("L", "PNG", {}),
    "grey_alpha.png": ("LA", "PNG", {}),
    "palette.png": ("P", "PNG", {"transparency": 3}),
    "colour.png": ("RGB", "PNG", {"compress_level": 1}),
    "alpha.png": ("RGBA", "PNG", {}),
    "deep.png": ("I;16", "PNG", {}),
    "lossy.webp": ("RGB", "WEBP", {}),
    "lossless.webp": ("RGBA", "WEBP", {"lossless": True}),
    "plain.tif": ("RGB", "TIFF", {}),
    "lzw.tif": ("RGB", "TIFF", {"compression": "tiff_lzw"}),
    "deflate.tif": ("RGBA", "TIFF", {"compression": "tiff_adobe_deflate"}),
    "packbits.tif": ("L", "TIFF", {"compression": "packbits"}),
    "jpeg.tif": ("RGB", "TIFF", {"compression": "jpeg"}),
    "fax.tif": ("1", "TIFF", {"compression": "group4"}),
    "deep.tif": ("I;16", "TIFF", {}),
    "long.tif": ("I", "TIFF", {}),
    "float.tif": ("F", "TIFF", {}),
    "cmyk.tif": ("CMYK", "TIFF", {}),
    "lab.tif": ("LAB", "TIFF", {}),
    "big.tif": ("RGB", "TIFF", {"big_tiff": True}),
    "colour.bmp": ("RGB", "BMP", {}),
    "palette.bmp": ("P", "BMP", {}),
    "bilevel.bmp": ("1", "BMP", {}),
    "still.gif": ("P", "GIF", {}),
    "interlaced.gif": ("P", "GIF", {"interlace": True}),
    "colour.ppm": ("RGB", "PPM", {}),
    "grey.pgm": ("L", "PPM", {}),
    "deep.pgm": ("I;16", "PPM", {}),
    "bilevel.pbm": ("1", "PPM", {}),
    "float.pfm": ("F", "PPM", {}),
    "plain.tga": ("RGB", "TGA", {}),
    "packed.tga": ("RGBA", "TGA", {"compression": "tga_rle"}),
    "colour.jp2": ("RGB", "JPEG2000", {}),
    "grey.j2k": ("L", "JPEG2000", {"no_jp2": True}),
    "lossy.avif": ("RGB", "AVIF", {"speed": 10}),
    "alpha.avif": ("RGBA", "AVIF", {"speed": 10}),
}
_SEVERAL = {"frames.gif": "GIF", "frames.png": "PNG", "frames.webp": "WEBP", "pages.tif": "TIFF", "frames.avif": "AVIF"}
_NEVER_WRITTEN = {"WMF", "BUFR", "GRIB", "HDF5", "MPEG", "FITS"}  # only with a handler that nobody installs


def picture(seed: int, mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """A bright, structured picture that differs from that of any other seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(60, 250, (5, 7, 3), dtype=np.uint8))
    image = coarse.resize(size, Image.Resampling.BICUBIC)
    if mode.startswith("I") or mode == "F":
        samples = np.asarray(image.convert("L"))
        return Image.fromarray({"I;16": samples.astype(np.uint16) * 257, "I": samples.astype(np.int32) * 257}.get(
            mode, samples.astype(np.float32)))  # fmt: skip
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "RGB", "LAB")) or image
    return image.quantize(32) if mode == "P" else image.convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def good_files() -> dict[str, bytes]:
    """Contents by a name that says what they are; the same each time."""
    return dict(_good_files())


def _good_files() -> Iterator[tuple[str, bytes]]:
    for seed, (name, (mode, kind, options)) in enumerate(_NAMED.items()):
        yield name, saved(picture(seed, mode), kind, **options)
    for seed, (name, kind) in enumerate(_SEVERAL.items(), 100):
        first, *others = (picture(seed + 20 * frame, "P" if kind == "GIF" else "RGB") for frame in range(3))
        yield name, saved(first, kind, save_all=True, append_images=others)
    yield "two.mpo", saved(picture(110), "MPO", save_all=True, append_images=[picture(111)])
    yield "turned.jpg", saved(picture(112), "JPEG", exif=exif(6))
    yield "profile.jpg", saved(picture(113), "JPEG", icc_profile=srgb())
    yield "profile.png", saved(picture(114), "PNG", icc_profile=srgb())
    yield "heif.heic", _heic(picture(115))
    yield "words.png", saved(picture(116), "PNG", pnginfo=None, exif=exif(3))
    yield "interlaced.png", _interlaced(picture(117))
    yield "deep_colour.png", png(SIZE, 16, 2, _lines(np.asarray(picture(118)).astype(">u2") * 257))
    yield "tiled.tif", tiled_tiff(picture(119, size=(128, 64)))
    yield "packed.bmp", packed_bmp(picture(120, "P"))
    yield "words.ppm", plain_ppm(picture(121))
    yield "odd_maximum.ppm", b"P6 %d %d 254\n" % SIZE + np.minimum(np.asarray(picture(122)), 254).tobytes()
    Image.init()
    for seed, kind in enumerate(sorted(Image.SAVE), 200):  # whatever else there is, most of it of no use as a still
        content = None if kind in _NEVER_WRITTEN else _some(seed, kind)
        if content is not None:
            yield f"other.{kind.lower()}", content


def _some(seed: int, kind: str) -> bytes | None:
    for mode in ("RGB", "L", "1", "F"):
        try:
            return saved(picture(seed, mode), kind)
        except (OSError, ValueError, KeyError):
            continue
    return None


def exif(orientation: int) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _heic(image: Image.Image) -> bytes:
    buffer = BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=80)
    return buffer.getvalue()


# --- what Pillow reads and does not write ------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    size: tuple[int, int], depth: int, colours: int, lines: bytes, *, interlaced: bool = False, before: bytes = b""
) -> bytes:
    """A PNG of filtered lines, with chunks `before` its pixels."""
    header = struct.pack(">IIBBBBB", *size, depth, colours, 0, 0, interlaced)
    pixels = chunk(b"IDAT", zlib.compress(lines, 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + pixels + chunk(b"IEND", b"")


def _lines(samples: Any) -> bytes:
    return b"".join(b"\0" + line.tobytes() for line in samples)


def _interlaced(image: Image.Image) -> bytes:
    samples = np.asarray(image)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    lines = b"".join(_lines(samples[top::down, left::right]) for top, left, down, right in passes)
    return png(image.size, 8, 2, lines, interlaced=True)


def tiled_tiff(image: Image.Image, tile: int = 64) -> bytes:
    """Without compression; sides are multiples of the tile's."""
    samples = np.asarray(image)
    height, width, _ = samples.shape
    places = [(y, x) for y in range(0, height, tile) for x in range(0, width, tile)]
    parts = [samples[y : y + tile, x : x + tile].tobytes() for y, x in places]
    count, start = len(parts), 8 + 2 + 11 * 12 + 4
    tables = struct.pack("<3H", 8, 8, 8) + b"\0\0"
    first = start + len(tables) + 8 * count
    starts = [first + index * len(parts[0]) for index in range(count)]
    places_of = (start + len(tables), start + len(tables) + 4 * count)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, start), (259, 3, 1, 1), (262, 3, 1, 2), (277, 3, 1, 3),
            (284, 3, 1, 1), (322, 4, 1, tile), (323, 4, 1, tile), (324, 4, count, places_of[0]),
            (325, 4, count, places_of[1])]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4
    sizes = struct.pack(f"<{count}I", *map(len, parts))
    return b"II*\0" + struct.pack("<I", 8) + directory + tables + struct.pack(f"<{count}I", *starts) + sizes + b"".join(
        parts)  # fmt: skip


def packed_bmp(image: Image.Image) -> bytes:
    """Run-length encoded, mode P."""
    width, height = image.size
    samples = np.asarray(image)
    body = b"".join(bytes(part for value in line for part in (1, int(value))) + b"\0\0" for line in samples[::-1])
    body += b"\0\1"
    palette = b"".join(bytes((value, 255 - value, value // 2, 0)) for value in range(256))
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 2835, 2835, 256, 0)
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + palette + body


def plain_ppm(image: Image.Image) -> bytes:
    """Samples in words."""
    return b"P3 %d %d 255\n" % image.size + " ".join(map(str, np.asarray(image).ravel())).encode()
