"""Small films: scenes whose cuts are known to the frame, in files that PyAV writes."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
RATE = 24  # frames a second
SIZE = (320, 180)
HAS_X264 = "libx264" in av.codecs_available


def scene(seed: int, size: tuple[int, int] = SIZE) -> Pixels:
    """Coloured squares on a ground; another seed is another scene."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:] = rng.integers(40, 200, 3)
    for _ in range(30):
        x, y, side = rng.integers(0, size[0]), rng.integers(0, size[1]), rng.integers(12, 40)
        pixels[y : y + side, x : x + side] = rng.integers(0, 255, 3)
    return pixels


def panned(seed: int, frames: int, *, speed: int = 1) -> Iterator[Pixels]:
    """A shot: the camera goes sideways."""
    pixels = scene(seed)
    return (np.roll(pixels, speed * frame, axis=1) for frame in range(frames))


def blurred(pixels: Pixels, radius: float = 3) -> Pixels:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def write_film(
    path: Path,
    frames: Iterable[Pixels],
    *,
    codec: str = "libx264" if HAS_X264 else "mpeg4",
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = SIZE,
    aspect: Fraction | None = None,
    rotation: tuple[float, bool] | None = None,  # degrees anticlockwise, and whether it is mirrored
    matrix: int | None = None,  # of AVColorSpace
    colour_range: int | None = None,
    transfer: int | None = None,
    times: Sequence[int] | None = None,  # of frames, in 1/1000 s; else RATE
    options: dict[str, str] | None = None,
) -> Path:
    """Encode near-losslessly, as tagged."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1000 if times else RATE, options=options or _quality(codec))
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        context = stream.codec_context
        if times:
            context.time_base = Fraction(1, 1000)
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation[0], hflip=rotation[1])
        if matrix is not None:
            context.colorspace = matrix
        if colour_range is not None:
            context.color_range = colour_range
        if transfer is not None:
            context.color_trc = transfer
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24").reformat(
                format=pixel_format, dst_colorspace=matrix, dst_color_range=colour_range
            )
            if times:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def _quality(codec: str) -> dict[str, str]:
    return {"libx264": {"crf": "4", "preset": "ultrafast"}, "mpeg4": {"qmin": "1", "qmax": "2"}}.get(codec, {})
