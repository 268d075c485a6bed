"""Picture: a decoded frame as upright sRGB pixels in the shape that it is shown in.

Belongs here: colour matrix and range, pixels that are not square, rotation, interlacing.

- Matrix: as the frame says; where it says none, BT.709 from 1280 × … or above 576 lines on, else BT.601 (mpv's rule).
- Range: as the frame says; where it says none, full for yuvj formats, else limited.
- Transfer: SDR's is taken as sRGB's, as players do.  PQ, HLG and BT.2020 are refused: how to map tones is a matter of
  taste.
"""

from fractions import Fraction
from typing import Protocol

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from PIL import Image

_QUALITY = int(
    Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
)
_UNSPECIFIED, _RGB = 2, 0  # AVColorSpace
_SDR_SPACES = (
    1,
    4,
    5,
    6,
    7,
)  # BT.709, FCC, BT.470BG, SMPTE 170M, SMPTE 240M: numbered alike in AVColorSpace and swscale
_BT2020_SPACES = (9, 10, 14)
_HDR_TRANSFERS = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
_COMB, _COMBED_SHARE = 15, 0.005  # levels between a line and both its neighbours; share of the pixels
_LONGEST_SMALL = 480  # pixels: sharpness is measured at this size, as that of stills


class _Coloured(Protocol):
    @property
    def colorspace(self) -> int: ...
    @property
    def color_trc(self) -> int: ...
    @property
    def color_primaries(self) -> int: ...


def why_no_sdr(said: _Coloured) -> str:
    """Why a frame's (or stream's) colours are not those of SDR, or ""."""
    if (hdr := _HDR_TRANSFERS.get(int(said.color_trc))) is not None:
        return f"is HDR ({hdr})"
    if int(said.colorspace) in _BT2020_SPACES or int(said.color_primaries) == int(ColorPrimaries.BT2020):
        return "has colours of BT.2020, wider than a still's"
    return ""


def small_picture(frame: VideoFrame) -> Image.Image:
    """RGB, at most 480 pixels on its longer side, in the shape that it is coded in: to measure, not to look at."""
    scale = min(1.0, _LONGEST_SMALL / max(frame.width, frame.height))
    return _rgb(
        frame, max(2, round(frame.width * scale)), max(2, round(frame.height * scale)), int(Interpolation.BILINEAR)
    )


def full_picture(frame: VideoFrame, sample_aspect: Fraction | None) -> Image.Image:
    """RGB, upright, with square pixels: the shorter direction is stretched, so that no line is lost."""
    frame = _without_combs(frame) if frame.interlaced_frame and _is_combed(frame) else frame
    image = _rgb(frame, frame.width, frame.height, _QUALITY)
    if sample_aspect is not None and sample_aspect > 0 and sample_aspect != 1:
        ratio = float(sample_aspect)
        width, height = (image.width * ratio, image.height) if ratio > 1 else (image.width, image.height / ratio)
        image = image.resize((round(width), round(height)), Image.Resampling.LANCZOS)
    turn = _orientation(frame)
    return image if turn is None else image.transpose(turn)


def _rgb(frame: VideoFrame, width: int, height: int, interpolation: int) -> Image.Image:
    if frame.format.is_rgb or frame.colorspace == _RGB:
        rgb = frame.reformat(width=width, height=height, format="rgb24", interpolation=interpolation, threads=1)
    else:
        rgb = frame.reformat(
            width=width,
            height=height,
            format="rgb24",
            interpolation=interpolation,
            src_colorspace=_matrix(frame),
            src_color_range=_range(frame),
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
    return Image.fromarray(rgb.to_ndarray())


def _matrix(frame: VideoFrame) -> int:
    if int(frame.colorspace) in _SDR_SPACES:
        return int(frame.colorspace)
    return int(Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601)


def _range(frame: VideoFrame) -> int:
    if frame.color_range in (ColorRange.MPEG, ColorRange.JPEG):
        return int(frame.color_range)
    return int(ColorRange.JPEG if frame.format.name.startswith("yuvj") else ColorRange.MPEG)


def _is_combed(frame: VideoFrame) -> bool:
    """Whether the fields are of two moments: films are mostly stored as interlaced without being so."""
    lines = np.asarray(_rgb(frame, frame.width, frame.height, int(Interpolation.POINT)).convert("L"), dtype=np.int16)
    above, line, below = lines[:-2], lines[1:-1], lines[2:]
    combed = ((line - above) * (line - below) > _COMB**2) & (np.abs(above - below) < _COMB)
    return float(combed.mean()) > _COMBED_SHARE


def _without_combs(frame: VideoFrame) -> VideoFrame:
    """The frame deinterlaced by itself: of one field (estdif, the one that needs no neighbours)."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 25)
    )
    sink = graph.add("buffersink")
    graph.link_nodes(source, graph.add("estdif", "mode=frame:deint=all"), sink).configure()
    graph.push(frame)
    graph.push(None)
    out = graph.pull()
    assert isinstance(out, VideoFrame)
    return out


def _orientation(frame: VideoFrame) -> Image.Transpose | None:
    """The transposition of the display matrix; None where there is none, or its angle is none of a quarter turn.

    The matrix takes a pixel at (x, y) to (a x + c y, b x + d y), y downwards.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d = (int(value) for value in np.sign(np.frombuffer(bytes(data), dtype=np.int32)[:5]))  # type: ignore[call-overload]
    return {
        (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
        (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
        (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
        (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
        (0, -1, 1, 0): Image.Transpose.ROTATE_90,
        (0, 1, -1, 0): Image.Transpose.ROTATE_270,
        (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
    }.get((a, b, c, d))
