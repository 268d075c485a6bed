"""Opened: a film's file, read as a stream of frames with their times.

Belongs here: opening, what is refused before any frame, and going on past what is broken.  Colours and shape are
`picture`'s.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from director_diffusion.errors import StillsError
from director_diffusion.exchange.film.picture import why_no_sdr

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_ATTACHED = 1 << 10  # AV_DISPOSITION_ATTACHED_PIC: a cover, no film
_NO_OTHERS = {"protocol_whitelist": "none"}  # playlists would lead libav to other files, or into the network
_DEFAULT_RATE = 25  # frames a second, for times that a file does not tell


@dataclass
class Film:
    """A film while it is read; what was met on the way is counted."""

    path: Path
    duration_s: float | None  # as the file states
    stated_frames: int  # or as many as its length gives; 0 where it states neither
    frames: int = 0  # decoded
    broken: int = 0  # packets that could not be decoded, and frames that came out damaged
    end_s: float = 0.0  # of the last frame
    stopped: str = ""  # why the file could not be read to its end
    _container: "InputContainer" = field(kw_only=True)
    _stream: "VideoStream" = field(kw_only=True)

    @property
    def stream(self) -> "VideoStream":
        return self._stream

    def read(self) -> Iterator[tuple[float, "VideoFrame"]]:
        """Frames in the order of showing, with seconds from the first; damaged ones are passed over."""
        start, rate = self._stream.start_time or 0, float(self._stream.average_rate or _DEFAULT_RATE)
        for packet in self._packets():
            try:
                decoded = packet.decode()
            except FFmpegError:
                self.broken += 1
                continue
            for frame in decoded:
                if frame.is_corrupt:
                    self.broken += 1
                    continue
                if problem := why_no_sdr(frame):
                    raise _no_sdr(self.path, problem)
                if frame.pts is None or frame.time_base is None:
                    time_s = self.end_s + 1 / rate if self.frames else 0.0
                else:
                    time_s = float((frame.pts - start) * frame.time_base)
                self.frames, self.end_s = self.frames + 1, time_s
                yield time_s, frame
        if not self.frames:
            raise StillsError(str(self.path), "has no frame that can be decoded", "Is it whole? Get it again.")

    def _packets(self) -> Iterator["Packet[VideoStream]"]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (FFmpegError, OSError) as error:  # the latter of reading the file
                self.stopped = error.strerror or str(error)
                return
            if packet is None:
                return
            yield packet


@contextmanager
def opened_film(path: Path) -> Iterator[Film]:
    """The first film of a file.  Raises StillsError for what is none, has no picture, or is HDR.

    The file is handed over opened, and libav opens no other.
    """
    try:
        with _opened(path) as container:
            yield _film(path, container)
    except FFmpegError as error:
        raise StillsError(str(path), f"is no film that can be read: {error.strerror}", "Give a film's file.") from error


@contextmanager
def _opened(path: Path) -> Iterator["InputContainer"]:
    with ExitStack() as opened:
        try:
            file = opened.enter_context(path.open("rb"))
            container = av.open(file, mode="r", metadata_errors="replace", options=_NO_OTHERS)
        except FFmpegError:
            raise
        except OSError as error:  # what fails while stills are made and kept is not the film's fault
            raise StillsError(
                str(path), f"cannot be read: {error.strerror or error}", "Give a file that this user may read."
            ) from error
        yield opened.enter_context(container)


def _film(path: Path, container: "InputContainer") -> Film:
    streams = [stream for stream in container.streams.video if not int(stream.disposition) & _ATTACHED]
    if not streams:
        raise StillsError(str(path), "has no video stream", "Give a film's file.")
    stream = streams[0]
    if stream.codec_context is None:
        raise StillsError(str(path), "is of a codec that is not known", "Convert it: ffmpeg -i FILE out.mp4")
    if problem := why_no_sdr(stream.codec_context):
        raise _no_sdr(path, problem)
    stream.thread_type = "AUTO"
    duration_s = _duration(container, stream)
    frames = stream.frames or round((duration_s or 0) * float(stream.average_rate or _DEFAULT_RATE))
    return Film(path, duration_s, frames, _container=container, _stream=stream)


def _duration(container: "InputContainer", stream: "VideoStream") -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _no_sdr(path: Path, problem: str) -> StillsError:
    return StillsError(
        str(path),
        problem,
        "Tone-map it to SDR first, as you like it to look, for instance with ffmpeg's filters zscale and tonemap.",
    )
