"""Every way in which a file says its pixels comes out as upright sRGB."""

import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from director_diffusion.stills.decode import Decoded, UndecodableError, decode

Encode = Callable[..., bytes]
Pixels = NDArray[np.int64]

# Four flat quarters: top left red, top right green, bottom left blue, bottom right grey; 96 × 64 pixels.
QUARTERS = [(200, 40, 30), (50, 180, 60), (30, 60, 190), (128, 128, 128)]


def quarters(mode: str = "RGB") -> Image.Image:
    image = Image.new("RGB", (96, 64))
    for colour, place in zip(QUARTERS, [(0, 0), (48, 0), (0, 32), (48, 32)], strict=True):
        image.paste(colour, (*place, place[0] + 48, place[1] + 32))
    return image.convert(mode)


def centres(image: Image.Image) -> Pixels:
    """Colours at the centres of the four quarters, (4, 3)."""
    assert image.mode == "RGB"
    x, y = image.width // 4, image.height // 4
    return np.array([image.getpixel(place) for place in [(x, y), (3 * x, y), (x, 3 * y), (3 * x, 3 * y)]])


def opened(data: bytes, max_megapixels: float = 100) -> Decoded:
    return decode(data, max_megapixels)


def assert_quarters(data: bytes, tolerance: int = 0, *, plain: bool = False) -> Decoded:
    decoded = opened(data)
    assert decoded.image.size == (96, 64)
    assert np.abs(centres(decoded.image) - QUARTERS).max() <= tolerance, centres(decoded.image)
    assert decoded.plain is plain
    return decoded


@pytest.mark.parametrize(
    ("kind", "options", "tolerance", "plain"),
    [
        ("PNG", {}, 0, True),
        ("JPEG", {"quality": 95}, 4, True),
        ("JPEG", {"quality": 95, "progressive": True}, 4, True),
        ("TIFF", {}, 0, False),
        ("TIFF", {"compression": "tiff_lzw"}, 0, False),
        ("BMP", {}, 0, False),
        ("TGA", {}, 0, False),
        ("PPM", {}, 0, False),
        ("WEBP", {"lossless": True}, 0, False),
        ("AVIF", {"quality": 95}, 6, False),
        ("JPEG2000", {}, 0, False),
    ],
)
def test_plain_formats(encode: Encode, kind: str, options: dict[str, Any], tolerance: int, plain: bool) -> None:
    assert_quarters(encode(quarters(), kind, **options), tolerance, plain=plain)


def heic(image: Image.Image, **options: Any) -> bytes:
    buffer = BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95, **options)
    return buffer.getvalue()


def test_heic_and_its_rotation() -> None:
    assert_quarters(heic(quarters()), 6)
    turned, buffer = quarters().transpose(Image.Transpose.ROTATE_90), BytesIO()
    pillow_heif.encode("RGB", turned.size, turned.tobytes(), buffer, quality=95, exif=orientation(6))
    assert b"irot" in buffer.getvalue()
    assert_quarters(buffer.getvalue(), 6)


def test_ten_bit_heic() -> None:
    samples, buffer = np.asarray(quarters()).astype(np.uint16) * 257, BytesIO()
    pillow_heif.encode("RGB;16", (96, 64), samples.tobytes(), buffer, quality=95)
    assert_quarters(buffer.getvalue(), 6)


def test_opening_heic_leaves_pillow_as_it_was() -> None:
    data = heic(quarters())
    opened(data)
    assert "HEIF" not in Image.OPEN


def orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_exif_orientation_is_applied(encode: Encode, kind: str, value: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quarters().transpose(undo[value]) if value in undo else quarters()
    data = encode(stored, kind, exif=orientation(value), quality=95)
    assert_quarters(data, 6, plain=value == 1 and kind in ("JPEG", "PNG"))


def test_damaged_exif_is_no_reason_to_lose_a_still(encode: Encode) -> None:
    data = encode(quarters(), "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    assert_quarters(data, 4, plain=True)


def test_sixteen_bit_greyscale_is_scaled_not_clipped(encode: Encode) -> None:
    samples = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF", "PPM", "JPEG2000"):
        image = opened(encode(Image.fromarray(samples), kind)).image
        assert np.array_equal(np.asarray(image)[..., 1].ravel(), np.arange(256)), kind
    swapped = Image.frombytes("I;16B", (16, 16), samples.astype(">u2").tobytes())
    assert np.array_equal(np.asarray(opened(encode(swapped, "TIFF")).image)[..., 0].ravel(), np.arange(256))


def png_rgb16(samples: NDArray[np.uint16]) -> bytes:
    """A 16-bit RGB PNG, which Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = samples.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_sixteen_bit_rgb_keeps_its_tones() -> None:
    samples = np.asarray(quarters()).astype(np.uint16) * 257
    assert_quarters(png_rgb16(samples), 1)


@pytest.mark.parametrize(("mode", "value"), [("F", 0.5), ("I", 1 << 20)])
def test_samples_of_unknown_scale_are_refused(encode: Encode, mode: str, value: float) -> None:
    with pytest.raises(UndecodableError, match="8 or 16 bits"):
        opened(encode(Image.new(mode, (8, 8), value), "TIFF"))


def test_greyscale_and_bilevel(encode: Encode) -> None:
    grey = quarters("L")
    expected = np.array([[grey.getpixel(p)] * 3 for p in [(24, 16), (72, 16), (24, 48), (72, 48)]])
    assert np.array_equal(centres(opened(encode(grey, "PNG")).image), expected)
    assert np.array_equal(centres(opened(encode(grey.point(lambda v: 255 * (v > 90)).convert("1"), "PNG")).image),
                          255 * (expected > 90))  # fmt: skip


def test_palette(encode: Encode) -> None:
    assert_quarters(encode(quarters().quantize(4), "PNG"))
    assert_quarters(encode(quarters().quantize(4), "GIF"))


def test_alpha_is_composited_over_black(encode: Encode) -> None:
    image = quarters("RGBA")
    image.paste((255, 255, 255, 0), (0, 0, 48, 32))
    image.paste((200, 100, 50, 128), (48, 0, 96, 32))
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        decoded = opened(encode(image, kind, **options))
        found = centres(decoded.image)
        assert found[0].tolist() == [0, 0, 0]
        assert np.abs(found[1] - [100, 50, 25]).max() <= 1
        assert np.array_equal(found[2:], QUARTERS[2:])
        assert decoded.notes == ("transparent parts are shown on black",)
        assert not decoded.plain


def test_opaque_alpha_changes_nothing(encode: Encode) -> None:
    assert assert_quarters(encode(quarters("RGBA"), "PNG")).notes == ()


def test_transparency_in_palette_and_key_colour(encode: Encode) -> None:
    keyed = encode(quarters(), "PNG", transparency=QUARTERS[0])
    paletted = quarters().quantize(4)
    index = paletted.getpixel((24, 16))
    for data in (keyed, encode(paletted, "PNG", transparency=index), encode(paletted, "GIF", transparency=index)):
        found = centres(opened(data).image)
        assert found[0].tolist() == [0, 0, 0]
        assert np.array_equal(found[1:], QUARTERS[1:])
    grey = Image.new("LA", (8, 8), (200, 128))
    assert abs(opened(encode(grey, "PNG")).image.getpixel((4, 4))[0] - 100) <= 1  # type: ignore[index]


def test_cmyk_as_photoshop_writes_it_and_as_others_do(encode: Encode) -> None:
    inks = Image.new("CMYK", (96, 64), (0, 255, 255, 0))  # full magenta and yellow: red
    adobe = encode(inks, "JPEG", quality=95)  # Pillow writes the Adobe marker and inverted inks
    assert np.abs(centres(opened(adobe).image) - (255, 0, 0)).max() <= 3
    start = adobe.index(b"\xff\xee")
    length = struct.unpack(">H", adobe[start + 2 : start + 4])[0]
    other = encode(Image.eval(inks, lambda value: 255 - value), "JPEG", quality=95)
    start = other.index(b"\xff\xee")
    other = other[:start] + other[start + 2 + length :]  # without the marker inks are stored as they are
    assert np.abs(centres(opened(other).image) - (255, 0, 0)).max() <= 3
    assert np.abs(centres(opened(encode(inks, "TIFF")).image) - (255, 0, 0)).max() <= 3


# --- colour profiles ---------------------------------------------------------------------------------------------


def matrix_profile(primaries: list[tuple[float, float]], gamma: float) -> bytes:
    """An ICC v2 display profile with D65 white (adapted to D50), those xy primaries and a pure gamma."""
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d65, d50 = np.array([0.95047, 1, 1.08883]), np.array([0.9642, 1, 0.8249])
    adapt = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ d65)) @ bradford
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    matrix = adapt @ (columns * np.linalg.solve(columns, d65))

    def fixed(values: Any) -> bytes:
        return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)

    def xyz(values: Any) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(values)

    name = b"test\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + b"\0" * (4 + 4 + 2 + 1 + 67)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = [(b"desc", description), (b"cprt", b"text\0\0\0\0none\0"), (b"wtpt", xyz(d50))]
    tags += [(key, xyz(matrix[:, column])) for column, key in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    tags += [(key, curve) for key in (b"rTRC", b"gTRC", b"bTRC")]
    directory, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for key, data in tags:
        data += b"\0" * (-len(data) % 4)
        directory += key + struct.pack(">II", start + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s12s4s4sIIIIQI", start + len(body), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ",
                         b"\0" * 12, b"acsp", b"\0" * 4, 0, 0, 0, 0, 0, 0) + fixed(d50)  # fmt: skip
    return header.ljust(128, b"\0") + directory + body


DISPLAY_P3 = [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)]
ADOBE_RGB = [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]
SRGB = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]


def in_space(primaries: list[tuple[float, float]], gamma: float) -> NDArray[np.uint8]:
    """QUARTERS (sRGB) as 8-bit codes of another space with D65 white, computed without a colour engine."""
    d65 = np.array([0.95047, 1, 1.08883])

    def to_xyz(xy: list[tuple[float, float]]) -> NDArray[np.float64]:
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in xy]).T
        return columns * np.linalg.solve(columns, d65)

    codes = np.array(QUARTERS) / 255
    linear = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    there = linear @ to_xyz(SRGB).T @ np.linalg.inv(to_xyz(primaries)).T
    return (there.clip(0, 1) ** (1 / gamma) * 255).round().astype(np.uint8)


@pytest.mark.parametrize(("primaries", "gamma"), [(DISPLAY_P3, 2.2), (ADOBE_RGB, 2.19921875)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_wide_profiles_are_converted_to_srgb(
    encode: Encode, kind: str, primaries: list[tuple[float, float]], gamma: float
) -> None:
    stored = Image.new("RGB", (96, 64))
    for colour, place in zip(in_space(primaries, gamma), [(0, 0), (48, 0), (0, 32), (48, 32)], strict=True):
        stored.paste(tuple(int(value) for value in colour), (*place, place[0] + 48, place[1] + 32))
    unmanaged = np.abs(centres(stored) - QUARTERS).max()
    assert unmanaged > 15, "the test must be able to fail"
    assert_quarters(encode(stored, kind, icc_profile=matrix_profile(primaries, gamma), quality=98), 4)


def test_heic_with_a_profile_as_phones_write_it() -> None:
    stored = Image.new("RGB", (96, 64))
    for colour, place in zip(in_space(DISPLAY_P3, 2.2), [(0, 0), (48, 0), (0, 32), (48, 32)], strict=True):
        stored.paste(tuple(int(value) for value in colour), (*place, place[0] + 48, place[1] + 32))
    stored.info["icc_profile"] = matrix_profile(DISPLAY_P3, 2.2)
    assert_quarters(heic(stored), 6)


def test_an_srgb_profile_leaves_a_file_as_it_is(encode: Encode) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert assert_quarters(encode(quarters(), "PNG", icc_profile=profile), 0, plain=True).notes == ()


@pytest.mark.parametrize("profile", [b"garbage", b"", matrix_profile(SRGB, 2.2)[:200]])
def test_a_broken_profile_is_ignored_and_noted(encode: Encode, profile: bytes) -> None:
    decoded = assert_quarters(encode(quarters(), "PNG", icc_profile=profile or None), 0, plain=True)
    assert bool(decoded.notes) is bool(profile)


def test_a_profile_of_another_mode_is_ignored_and_noted(encode: Encode) -> None:
    decoded = opened(encode(quarters("L"), "PNG", icc_profile=matrix_profile(ADOBE_RGB, 2.2)))
    assert "profile" in decoded.notes[0]
    assert centres(decoded.image)[3].tolist() == [128, 128, 128]


def test_lab(encode: Encode) -> None:
    lab = ImageCms.profileToProfile(
        quarters(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert_quarters(encode(lab, "TIFF"), 8)


# --- animation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_the_first_frame_of_an_animation_is_used(encode: Encode, kind: str, options: dict[str, Any]) -> None:
    later = ImageOps.invert(quarters())
    data = encode(quarters(), kind, save_all=True, append_images=[later, quarters()], duration=100, **options)
    assert assert_quarters(data).notes == ("animated: its first frame is used",)


def test_a_phones_second_picture_is_no_animation(encode: Encode) -> None:
    data = encode(quarters(), "MPO", save_all=True, append_images=[ImageOps.invert(quarters())], quality=95)
    assert assert_quarters(data, 4, plain=True).notes == ()


# --- what is no usable image -------------------------------------------------------------------------------------


def assert_undecodable(data: bytes, reason: str, max_megapixels: float = 100) -> None:
    started = time.monotonic()
    with pytest.raises(UndecodableError, match=reason):
        opened(data, max_megapixels)
    assert time.monotonic() - started < 5


def test_text_and_nothing(encode: Encode) -> None:
    assert_undecodable(b"", "is empty")
    assert_undecodable(b"I am a shopping list, not a picture\n", "not an image of a known format .*shopping")
    assert_undecodable(bytes(range(128, 256)), "not an image of a known format .*bytes 80 81")
    assert_undecodable(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image of a known format")
    assert_undecodable(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image of a known format")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "GIF", "BMP", "JPEG2000"])
def test_truncated_files(encode: Encode, kind: str, scene: Callable[..., Image.Image]) -> None:
    data = encode(scene(1), kind)
    assert_undecodable(data[: len(data) // 2], "is (truncated|damaged)|not an image")
    assert_undecodable(data[: int(len(data) * 0.9)], "is (truncated|damaged)|not an image")
    assert_undecodable(data[:30], "is (truncated|damaged)|not an image")


def test_truncated_heic(scene: Callable[..., Image.Image]) -> None:
    data = heic(scene(1))
    assert_undecodable(data[: len(data) // 2], "is (truncated|damaged)|not an image")


def test_random_damage_never_crashes(encode: Encode, scene: Callable[..., Image.Image]) -> None:
    rng = np.random.default_rng(0)
    picture = scene(3, (64, 48))
    files = [encode(picture, kind) for kind in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "GIF", "BMP", "JPEG2000", "TGA")]
    for data in [*files, heic(picture)]:
        for _ in range(40):
            damaged = np.frombuffer(data, dtype=np.uint8).copy()
            places = rng.integers(0, min(len(data), 400), 4)
            damaged[places] = rng.integers(0, 256, 4)
            with suppress(UndecodableError):
                assert opened(damaged.tobytes(), max_megapixels=1).image.mode == "RGB"


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", len(data)) + b"IDAT" + data + b"\0\0\0\0"


def test_decompression_bombs_are_refused_before_they_are_decoded(encode: Encode) -> None:
    assert_undecodable(png_header(30_000, 30_000), "too many pixels")
    assert_undecodable(png_header(12_000, 10_000), "over the limit of 100 megapixels")
    assert_undecodable(encode(Image.new("RGB", (300, 200)), "PNG"), "300 × 200 pixels, over the limit of 0.05", 0.05)
    with pytest.raises(UndecodableError, match="megapixels"):
        opened(heic(quarters()), 0.001)


def test_four_samples_a_pixel_are_more_to_decode_than_three(encode: Encode) -> None:
    data = bytearray(encode(Image.new("CMYK", (300, 200)), "JPEG"))
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 8_000, 10_000)
    assert_undecodable(bytes(data), "is a CMYK picture of 10000 × 8000 pixels, over the limit of 75 megapixels")


def test_a_bomb_in_metadata_is_refused(encode: Encode) -> None:
    data = encode(quarters(), "PNG")
    packed = b"Comment\0\0" + zlib.compress(b"\0" * 20_000_000)
    chunk = struct.pack(">I", len(packed)) + b"zTXt" + packed + struct.pack(">I", zlib.crc32(b"zTXt" + packed))
    assert_undecodable(data[:33] + chunk + data[33:], "is damaged: Decompressed data too large")


def test_a_jpeg_of_very_many_scans_is_refused(encode: Encode) -> None:
    data = encode(quarters(), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    assert_undecodable(data[:-2] + scan * 300 + data[-2:], "scans")
