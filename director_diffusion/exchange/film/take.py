"""Take: stills of a film, in one pass over it and in flat memory.

Belongs here: the order of things: frames, cuts, shots, and which of the shots' frames are wanted.
"""

import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from director_diffusion.errors import StillsError
from director_diffusion.exchange.film.cuts import CutFinder, colours_of, is_black
from director_diffusion.exchange.film.opened import Film
from director_diffusion.exchange.film.picture import full_picture, small_picture
from director_diffusion.exchange.film.shots import Candidate, Shot
from director_diffusion.progress import Progress
from director_diffusion.stills.frames import measure, shows_nothing

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    FrameShot = Shot[VideoFrame]
    FrameCandidate = Candidate[VideoFrame]


@dataclass
class Counted:
    """What was met in a film."""

    shots: int = 0
    too_short: int = 0
    showing_nothing: int = 0  # shots whose sharpest frame is black or of one colour
    passed_over: int = 0  # shots whose still was not among the most that were wanted


@dataclass(frozen=True)
class _Seen:
    """A frame of which it is not yet known whether it begins a shot."""

    time_s: float
    frame: "VideoFrame"
    sharpness: float
    black: bool


def film_stills(
    film: Film, counted: Counted, *, every_s: float | None = None, most: int | None = None, progress: Progress
) -> Iterator[tuple[float, Image.Image]]:
    """Times in seconds and pictures: the sharpest frame from the middle of each shot.

    Of a shot longer than `every_s` seconds, one of each such part.  Where `most` are wanted, the film's time is shared
    out evenly and each share gives its sharpest.  Raises StillsError where the file does not state the time to share.
    """
    if most is not None and not film.duration_s:
        raise StillsError(str(film.path), "does not state how long it is", "Leave --most out.")
    shots = _shots(_seen(film, progress), every_s)
    chosen = _choices(shots, counted, least_part_s=(every_s or 0.0) / 2)
    if most is not None and film.duration_s:
        chosen = _spread(chosen, film.duration_s, most, counted)
    for one in chosen:
        yield one.time_s, full_picture(one.frame, film.stream.sample_aspect_ratio)


def still_name(film: str, time_s: float) -> str:
    """By film and time code, to the millisecond."""
    milliseconds = round(max(time_s, 0.0) * 1000)
    seconds, thousandths = divmod(milliseconds, 1000)
    hours, rest = divmod(seconds, 3600)
    return f"{unicodedata.normalize('NFC', film)}_{hours:02}h{rest // 60:02}m{rest % 60:02}s{thousandths:03}.jpg"


def _seen(film: Film, progress: Progress) -> Iterator[tuple[_Seen, bool]]:
    """Every frame with whether it begins a shot; at most WINDOW frames are held back."""
    finder, waiting = CutFinder(), deque[_Seen]()
    with progress.task("frames", film.stated_frames) as task:
        for time_s, frame in film.read():
            small = small_picture(frame)
            colours = colours_of(small)
            waiting.append(_Seen(time_s, frame, measure(small).sharpness, is_black(colours)))
            for cut in finder.add(colours):
                yield waiting.popleft(), cut
            task.advance()
    for cut in finder.end():
        yield waiting.popleft(), cut


def _shots(seen: Iterable[tuple[_Seen, bool]], every_s: float | None) -> Iterator["FrameShot"]:
    shot: FrameShot | None = None
    last_s = frame_s = 0.0
    for one, cut in seen:
        frame_s = one.time_s - last_s if one.time_s > last_s else frame_s
        if shot is not None:
            over = every_s is not None and one.time_s - shot.start_s >= every_s
            if cut or one.black or over:
                shot.end_s = max(shot.end_s, one.time_s)
                yield shot
                shot = None if cut or one.black else Shot(one.time_s, one.time_s, first_part=False)
        if not one.black:
            shot = shot or Shot(one.time_s, one.time_s)
            shot.add(Candidate(one.time_s, one.sharpness, one.frame), one.time_s + frame_s)
        last_s = one.time_s
    if shot is not None:
        yield shot


def _choices(shots: Iterable["FrameShot"], counted: Counted, *, least_part_s: float) -> Iterator["FrameCandidate"]:
    for shot in shots:
        if not shot.first_part and shot.seconds < least_part_s:
            continue  # what is left over of a long shot, of which there are stills
        counted.shots += shot.first_part
        choice = shot.choice()
        if choice is None:
            counted.too_short += shot.first_part
        elif shows_nothing(small_picture(choice.frame)):
            counted.showing_nothing += 1
        else:
            yield choice


def _spread(
    choices: Iterable["FrameCandidate"], duration_s: float, most: int, counted: Counted
) -> Iterator["FrameCandidate"]:
    """The sharpest of each of `most` equal shares of the film's time."""
    best, share = None, -1
    for choice in choices:
        its = min(int(choice.time_s / duration_s * most), most - 1)
        if best is None or its != share:
            if best is not None:
                yield best
            best, share = choice, its
            continue
        counted.passed_over += 1
        best = max(best, choice, key=lambda one: one.sharpness)
    if best is not None:
        yield best
