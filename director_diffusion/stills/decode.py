"""Decoding: from the bytes of any image file to upright, sRGB, 8-bit RGB pixels.

Belongs here: everything that stands between a file format and plain pixels (orientation, colour profile, bit depth,
alpha, animation) and the reasons why a file is no usable image.  Does not: what the pixels show (`frames`).

Alpha is composited over black, the colour of an unlit screen, so that transparent margins count as bars.
"""

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

import numpy as np
import pillow_heif
from PIL import Image, ImageChops, ImageCms, ImageFile, UnidentifiedImageError

from director_diffusion.plain_text import escaped

# Formats that stills come in.  Pillow knows more, among them EPS, which it hands to an external interpreter.
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "JPEG2000", "BMP", "GIF", "PPM", "TGA")
_PLAIN_FORMATS = {"JPEG", "MPO", "PNG"}  # an MPO is a JPEG with more pictures behind the first
_MAX_JPEG_SCANS = 200  # each scan walks over all pixels; honest progressive files have about ten
_HONEST_JPEG_SCANS = 12
_MAX_SCANNED_PIXELS = 1_500_000_000  # by more scans than that: about two seconds
_MAX_SIDE = 65_535  # pixels, as in JPEG; what is measured along a side is not made for more
_IN_PYTHON = {"ppm", "ppm_plain", "bmp_rle"}  # decoders that take microseconds for each sample
_MAX_PIXELS_IN_PYTHON = 500_000
_MAX_REMARKS = 100  # in a PPM of words, whose decoder copies the rest of the file for each
_MAX_CACHED_PROFILE = 1 << 20  # bytes; cameras' and editors' have some kilobytes
_LARGE_PIXELS = 25_000_000
_MAX_WEBP_PIXELS = 50_000_000  # its decoder holds each four times
_MAX_CMYK_PIXELS = 75_000_000  # as many samples as 100 million of RGB have, and then they are converted
_MOST_SAID = 300  # characters of a decoder's words
_EIGHT_BIT_RAW = {"RGB", "RGBX"}

# What codecs are seen to raise on files that are damaged or are not what they say.
_CODEC_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    KeyError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class UndecodableError(Exception):
    """A file that gives no usable picture; `str()` is the reason, in words for its row."""


@dataclass(frozen=True)
class Decoded:
    """An upright sRGB picture, mode RGB."""

    image: Image.Image
    plain: bool  # the file was a JPEG or PNG that held just these pixels: upright, sRGB, 8-bit RGB
    notes: tuple[str, ...]  # what was assumed or left out on the way


def decode(data: bytes, max_megapixels: float) -> Decoded:
    """Decode the first picture of `data` fully.  Raises UndecodableError with the reason.

    The size is held against `max_megapixels` before a pixel is decoded.  (Above 179 megapixels Pillow itself refuses,
    whatever the limit.)
    """
    if not data:
        raise UndecodableError("is empty (0 bytes)")
    try:
        with _open(data) as opened:
            _check_size(opened, data, max_megapixels)
            return _normalise(opened)
    except UnidentifiedImageError as error:
        raise UndecodableError(f"is not an image of a known format ({_starts_like(data)})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UndecodableError(f"has too many pixels to be opened; scale it down ({error})") from error
    except MemoryError as error:
        raise UndecodableError("does not fit into memory; scale it down") from error
    except _CODEC_ERRORS as error:
        text = escaped(str(error) or type(error).__name__, lines=False)[:_MOST_SAID]
        kind = "truncated" if "truncated" in text.lower() else "damaged"
        raise UndecodableError(f"is {kind}: {text}") from error


def is_large(data: bytes) -> bool:
    """Whether decoding takes hundreds of megabytes.  False for what cannot be opened."""
    try:
        with _open(data) as opened:
            return opened.width * opened.height > _LARGE_PIXELS
    except (*_CODEC_ERRORS, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return False


def encode_jpeg(image: Image.Image) -> bytes:
    """JPEG at quality 95 without chroma subsampling: what stills are stored as when their own file will not do."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def _open(data: bytes) -> ImageFile.ImageFile:
    # HEIC is opened by its own class: registering it with Pillow would change Pillow for the whole process.
    if pillow_heif.is_supported(data) and not data[8:12].startswith(b"avi"):
        return pillow_heif.HeifImageFile(BytesIO(data))
    return Image.open(BytesIO(data), formats=FORMATS)


def _check_size(opened: ImageFile.ImageFile, data: bytes, max_megapixels: float) -> None:
    width, height = opened.size
    if width * height > max_megapixels * 1e6:
        raise UndecodableError(
            f"has {width} × {height} pixels, over the limit of {max_megapixels:g} megapixels; scale it down, or raise "
            "stills.max_megapixels in the director's file"
        )
    if opened.format == "WEBP" and width * height > _MAX_WEBP_PIXELS:
        raise UndecodableError(
            f"is a WebP of {width} × {height} pixels, over the limit of {_MAX_WEBP_PIXELS / 1e6:g} megapixels; scale "
            "it down, or save it in another format"
        )
    if opened.mode == "CMYK" and width * height > _MAX_CMYK_PIXELS:
        raise UndecodableError(
            f"is a CMYK picture of {width} × {height} pixels, over the limit of {_MAX_CMYK_PIXELS / 1e6:g} megapixels; "
            "scale it down, or save it as RGB"
        )
    if max(width, height) > _MAX_SIDE:
        raise UndecodableError(f"has {width} × {height} pixels, with a side over {_MAX_SIDE:,}; scale it down")
    if slow := _slow(opened, data):
        raise UndecodableError(f"is {slow}, which would take very long to decode; save it anew")


def _slow(opened: ImageFile.ImageFile, data: bytes) -> str:
    """What about a file's kind would take many seconds to decode, or ""."""
    pixels = opened.width * opened.height
    if opened.format in ("JPEG", "MPO"):
        scans = data.count(b"\xff\xda")
        many = scans > _HONEST_JPEG_SCANS and scans * pixels > _MAX_SCANNED_PIXELS
        return f"a JPEG of {scans} scans" if many or scans > _MAX_JPEG_SCANS else ""
    decoder = opened.tile[0].codec_name if opened.tile else ""
    if decoder == "ppm_plain" and data.count(b"#") > _MAX_REMARKS:
        return "a PPM of many remarks"
    if decoder in _IN_PYTHON and pixels > _MAX_PIXELS_IN_PYTHON:
        return f"a {opened.format} of an unusual kind ({decoder}) with {pixels:,} pixels"
    return ""


def _normalise(opened: ImageFile.ImageFile) -> Decoded:
    plain = opened.format in _PLAIN_FORMATS and opened.mode == "RGB" and _raw_mode(opened) in _EIGHT_BIT_RAW
    notes: list[str] = []
    if opened.format != "MPO" and getattr(opened, "is_animated", False):
        notes.append("animated: its first frame is used")
        plain = False
    opened.load()
    profile = opened.info.get("icc_profile")
    image, alpha = _split_alpha(_to_eight_bit(opened))
    if image.mode == "CMYK" and opened.format in ("JPEG", "MPO") and "adobe" not in opened.info:
        image = ImageChops.invert(image)  # Pillow reads every CMYK JPEG as Adobe writes them: inverted
    if profile or image.mode == "LAB":
        managed, note = _to_srgb(image, profile)
        plain = plain and managed is image
        image = managed
        notes += [note] if note else []
    if image.mode != "RGB":
        image = image.convert("RGB")
    if alpha is not None:
        plain = False
        if alpha.getextrema()[0] < 255:  # type: ignore[operator]
            notes.append("transparent parts are shown on black")
            image.paste((0, 0, 0), mask=ImageChops.invert(alpha))  # in place: of large pictures, each copy counts
    upright = _orientation(opened, notes)
    if upright is not None:
        image, plain = image.transpose(upright), False
    return Decoded(image=image, plain=plain, notes=tuple(notes))


def _raw_mode(opened: ImageFile.ImageFile) -> str:
    """How the decoder reads samples, such as RGB or RGB;16B; "" where the plugin does not say."""
    arguments = opened.tile[0].args if opened.tile else ""
    return arguments if isinstance(arguments, str) else str(arguments[0]) if arguments else ""


def _to_eight_bit(image: Image.Image) -> Image.Image:
    """Scale deep greyscale to mode L.  (Deep RGB reaches here as 8-bit: Pillow and libheif keep the high byte.)

    `Image.convert` would clip these modes at 255, which makes them white.
    """
    if image.mode.startswith("I;16") or image.mode == "I":
        samples = np.asarray(image)
        lowest, highest = int(samples.min()), int(samples.max())
        if lowest < 0 or highest > 65535:
            raise UndecodableError("holds samples of more than 16 bits; save it with 8 or 16 bits per channel")
        samples = samples.astype(np.uint16)
        return Image.fromarray(((samples - (samples >> 8) + 128) >> 8).astype(np.uint8))  # samples / 257, rounded
    if image.mode == "F":
        raise UndecodableError("holds floating-point samples; save it with 8 or 16 bits per channel")
    return image


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colour without alpha, and alpha as mode L where there is any."""
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif "transparency" in image.info and image.mode in ("L", "RGB"):
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    elif image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    elif image.mode == "PA":
        image = image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L"), None
    if image.mode in ("LA", "RGBA"):
        return image.convert(image.mode[:-1]), image.getchannel("A")
    return image, None


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """The image in sRGB (itself where it is already), and a note where its profile could not be used."""
    try:
        if image.mode == "RGB" and profile is not None and _means_srgb(profile):
            return image, ""
        source = _profile(profile) if profile else ImageCms.createProfile("LAB")
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            image.mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return ImageCms.applyTransform(image, transform) or image, ""
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        if image.mode == "LAB":
            raise
        return image, "its colour profile cannot be used and is ignored"


def _means_srgb(profile: bytes) -> bool:
    """As `_is_srgb`; large profiles are not kept in memory."""
    return (_is_srgb if len(profile) <= _MAX_CACHED_PROFILE else _is_srgb.__wrapped__)(profile)


@lru_cache(maxsize=64)
def _is_srgb(profile: bytes) -> bool:
    """Whether a profile means what sRGB means, to within two levels on a grid of colours (names tell little)."""
    axis = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(27, 27, 3)
    transform = ImageCms.buildTransform(
        _profile(profile),
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    moved = ImageCms.applyTransform(Image.fromarray(grid), transform)
    return moved is not None and int(np.abs(np.asarray(moved).astype(int) - grid).max()) <= 2


def _profile(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(BytesIO(profile))


def _orientation(opened: ImageFile.ImageFile, notes: list[str]) -> Image.Transpose | None:
    """The transposition that sets the picture upright, or None where it is."""
    try:
        value = opened.getexif().get(0x0112, 1)
    except _CODEC_ERRORS:
        notes.append("its EXIF data is damaged; it is taken as upright")
        return None
    return {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(value)


def _starts_like(data: bytes) -> str:
    head = data[:24]
    try:
        text = head.decode("ascii")
    except UnicodeDecodeError:
        return f"it starts with the bytes {head[:8].hex(' ')}"
    return f"it starts with {text!r}"
