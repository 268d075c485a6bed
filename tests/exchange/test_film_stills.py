"""Stills of a film: where shots begin, which of their frames are taken, and what a file may be like."""

import os
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from director_diffusion.errors import StillsError
from director_diffusion.exchange.film.cuts import CutFinder, colours_of
from director_diffusion.exchange.film.opened import Film, opened_film
from director_diffusion.exchange.film.shots import Candidate, Shot
from director_diffusion.exchange.film.take import Counted, film_stills, still_name
from director_diffusion.progress import Silent
from tests.exchange.films import HAS_X264, RATE, SIZE, blurred, panned, scene, write_film

BLACK = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)


def take(
    path: Path, *, every: float | None = None, most: int | None = None
) -> tuple[list[tuple[float, Image.Image]], Counted, Film]:
    counted = Counted()
    with opened_film(path) as film:
        return list(film_stills(film, counted, every_s=every, most=most, progress=Silent())), counted, film


def frames_of(stills: list[tuple[float, Image.Image]]) -> list[int]:
    return [round(time_s * RATE) for time_s, _ in stills]


def first_picture(path: Path) -> Image.Image:
    return take(path)[0][0][1]


def test_a_still_comes_of_the_middle_of_every_shot(tmp_path: Path) -> None:
    lengths = (40, 30, 60)
    path = write_film(tmp_path / "film.mp4", chain.from_iterable(panned(k, n) for k, n in enumerate(lengths)))
    stills, counted, film = take(path)
    assert counted.shots == 3
    assert film.frames == sum(lengths)
    for frame, start, length in zip(frames_of(stills), (0, 40, 70), lengths, strict=True):
        assert start + length / 4 <= frame <= start + length * 3 / 4
    assert [picture.size for _, picture in stills] == [SIZE] * 3


def test_the_sharpest_frame_of_the_middle_is_taken(tmp_path: Path) -> None:
    sharp = 29
    frames = [pixels if number in (1, sharp, 47) else blurred(pixels) for number, pixels in enumerate(panned(3, 48))]
    assert frames_of(take(write_film(tmp_path / "film.mp4", frames))[0]) == [sharp]


def test_fast_camera_and_a_flash_are_no_cuts(tmp_path: Path) -> None:
    frames = list(panned(5, 72, speed=6))
    frames[30] = np.full_like(BLACK, 250)
    frames[45:47] = [np.full_like(BLACK, 250)] * 2
    assert take(write_film(tmp_path / "film.mp4", frames))[1].shots == 1


def test_black_parts_shots_and_a_fade_gives_no_still(tmp_path: Path) -> None:
    one, other = scene(1), scene(2)
    down = [(one * (1 - k / 24)).astype(np.uint8) for k in range(24)]
    up = [(other * (k / 24)).astype(np.uint8) for k in range(24)]
    path = write_film(tmp_path / "film.mp4", [*([one] * 24), *down, *([BLACK] * 12), *up, *([other] * 24)])
    stills, counted, _ = take(path)
    assert counted.shots == 2
    for (_, picture), whole in zip(stills, (one, other), strict=True):
        assert abs(np.asarray(picture).mean() - whole.mean()) < 3


def test_what_shows_nothing_and_what_is_too_short_is_counted(tmp_path: Path) -> None:
    grey = np.full_like(BLACK, 128)
    path = write_film(tmp_path / "film.mp4", [*([grey] * 30), *panned(1, 6), *panned(2, 30)])
    stills, counted, _ = take(path)
    assert (len(stills), counted.shots, counted.too_short, counted.showing_nothing) == (1, 3, 1, 1)


def test_long_shots_give_several_and_the_most_are_spread_over_the_film(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", chain(panned(1, 114), *(panned(k, 24) for k in range(2, 6))))
    assert len(take(path, every=2)[0]) == 2 + 4, "what is left over is less than half a part"
    stills, counted, _ = take(path, most=2)
    assert len(stills) == 2
    assert (counted.shots, counted.passed_over) == (5, 3)
    assert stills[0][0] < 4.4 <= stills[1][0], "each half of its 8.75 seconds gives one"


@pytest.mark.parametrize(
    ("matrix", "colour_range", "pixel_format", "size"),
    [
        (1, 1, "yuv420p", SIZE),
        (5, 1, "yuv420p", SIZE),
        (6, 1, "yuv444p", SIZE),
        (1, 2, "yuv420p", SIZE),
        (5, 2, "yuvj420p", SIZE),
        (1, 1, "yuv420p10le", SIZE),
        (None, None, "yuv420p", SIZE),
    ],
)
def test_colours_come_out_as_they_went_in(
    tmp_path: Path, matrix: int | None, colour_range: int | None, pixel_format: str, size: tuple[int, int]
) -> None:
    if not HAS_X264:
        pytest.skip("mpeg4 keeps no colour tags")
    colours = [(200, 60, 40), (20, 180, 60), (30, 40, 220), (255, 255, 255), (0, 0, 0), (128, 128, 128)]
    pixels = np.repeat(np.array(colours, np.uint8)[None], 60, axis=0).repeat(SIZE[0] // 6, axis=1).repeat(3, axis=0)
    pixels = np.pad(pixels, ((0, 0), (0, SIZE[0] - pixels.shape[1]), (0, 0)))
    path = write_film(
        tmp_path / "film.mp4", [pixels] * 24, matrix=matrix, colour_range=colour_range, pixel_format=pixel_format
    )
    picture = np.asarray(first_picture(path)).astype(int)
    for place, colour in enumerate(colours):
        seen = picture[90, place * (SIZE[0] // 6) + 26]
        assert np.abs(seen - colour).max() <= 3, (colour, seen)


def test_untagged_high_definition_is_bt709(tmp_path: Path) -> None:
    """Written with BT.709's numbers and no tag: large frames are read so, small ones by BT.601."""
    red = np.empty((720, 1280, 3), np.uint8)
    red[:] = (200, 60, 40)
    red[::40] = 90
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE, options={"qmin": "1", "qmax": "2"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for _ in range(18):
            frame = av.VideoFrame.from_ndarray(red, format="rgb24").reformat(format="yuv420p", dst_colorspace=1)
            frame.colorspace = 2  # not told
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert np.abs(np.asarray(first_picture(path))[20, 600].astype(int) - (200, 60, 40)).max() <= 4


@pytest.mark.parametrize(
    ("tag", "words"), [({"transfer": 16}, "PQ"), ({"transfer": 18}, "HLG"), ({"matrix": 9}, "2020")]
)
def test_hdr_is_refused_with_the_way_out(tmp_path: Path, tag: dict[str, int], words: str) -> None:
    if not HAS_X264:
        pytest.skip("mpeg4 keeps no colour tags")
    path = write_film(tmp_path / "film.mp4", panned(1, 24), **tag)  # type: ignore[arg-type]
    with pytest.raises(StillsError, match=words) as refused:
        take(path)
    assert "zscale" in refused.value.way_out


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(16, 11), (465, 180)), (Fraction(8, 9), (320, 202)), (Fraction(1), (320, 180))]
)
def test_pixels_that_are_not_square_are_stretched(tmp_path: Path, aspect: Fraction, size: tuple[int, int]) -> None:
    assert first_picture(write_film(tmp_path / "film.mp4", panned(1, 24), aspect=aspect)).size == size


@pytest.mark.parametrize(
    ("rotation", "corner"),
    [
        ((0, False), (0, 0)),
        ((90, False), (0, 1)),
        ((180, False), (1, 1)),
        ((270, False), (1, 0)),
        ((0, True), (1, 0)),
        ((90, True), None),
    ],
)
def test_a_turned_film_is_set_upright(
    tmp_path: Path, rotation: tuple[float, bool], corner: tuple[int, int] | None
) -> None:
    """`corner`: where (right, down) what was filmed at the top left is shown; a mirrored turn keeps it at a corner."""
    pixels = scene(1) // 4
    pixels[:40, :60] = (255, 255, 255)
    path = write_film(tmp_path / "film.mp4", [pixels] * 24, rotation=rotation)
    picture = first_picture(path).convert("L")
    assert picture.size == (SIZE if rotation[0] % 180 == 0 else SIZE[::-1])
    right, down = picture.width - 10, picture.height - 10
    lit = [
        (x, y) for x in (0, 1) for y in (0, 1) if picture.getpixel((10 + x * (right - 10), 10 + y * (down - 10))) > 200
    ]
    assert len(lit) == 1
    if corner is not None:
        assert lit == [corner]


@pytest.mark.parametrize("moving", [True, False])
def test_combs_of_interlaced_films_are_removed_where_there_are_any(tmp_path: Path, moving: bool) -> None:
    if not HAS_X264:
        pytest.skip("mpeg4 tells no interlacing here")
    frames = [np.repeat(pixels[..., :1], 3, axis=2) for pixels in panned(1, 24)]  # grey: chroma mixes fields anyway
    for pixels in frames:
        pixels[1::2] = np.roll(pixels, 6 if moving else 0, axis=1)[1::2]
    path = write_film(tmp_path / "film.mp4", frames, options={"crf": "4", "x264-params": "tff=1"})
    ((time_s, picture),) = take(path)[0]
    whole = frames[round(time_s * RATE)].astype(int)
    lines = np.asarray(picture).astype(int)
    assert min(np.abs(lines[field::2] - whole[field::2]).mean() for field in (0, 1)) < 3, "one field stays"
    if moving:
        assert np.abs(lines[:-1:2] - lines[1::2]).mean() < np.abs(whole[:-1:2] - whole[1::2]).mean() / 2
    else:
        assert np.abs(lines - whole).mean() < 4, "all lines are of one moment and stay as they are"


def test_times_are_those_of_the_frames_where_the_rate_varies(tmp_path: Path) -> None:
    times = [*range(0, 1000, 40), *range(1000, 3000, 100), *range(3000, 4000, 20)]
    path = write_film(tmp_path / "film.mkv", chain(panned(1, 25), panned(2, 20), panned(3, 50)), times=times)
    stills, counted, _ = take(path)
    assert counted.shots == 3
    (first, _), (second, _), (third, _) = stills
    assert 0.2 <= first <= 0.8
    assert 1.4 <= second <= 2.6
    assert 3.2 <= third <= 3.8


def test_damage_in_the_middle_is_passed_over_and_counted(tmp_path: Path) -> None:
    whole = write_film(tmp_path / "film.mkv", chain(panned(1, 72), panned(2, 72)), options={"g": "12", "crf": "4"})
    data = bytearray(whole.read_bytes())
    for place in range(len(data) // 3, len(data) // 3 + 4000):
        data[place] ^= 0x5A
    (tmp_path / "broken.mkv").write_bytes(data)
    stills, _, film = take(tmp_path / "broken.mkv")
    assert film.broken > 0
    assert film.frames < 144
    assert len(stills) >= 2
    assert film.end_s > 5


def test_a_film_that_breaks_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = write_film(tmp_path / "film.mkv", chain(panned(1, 48), panned(2, 96))).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    stills, _, film = take(tmp_path / "cut.mkv")
    assert stills
    assert film.duration_s is not None
    assert film.end_s < film.duration_s - 1


@pytest.mark.parametrize("kind", ["text", "empty", "sound", "folder", "absent", "playlist", "picture"])
def test_what_is_no_film_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "film.mp4"
    if kind == "text":
        path.write_text("not a film\n" * 100)
    if kind == "empty":
        path.touch()
    if kind == "folder":
        path.mkdir()
    if kind == "picture":
        path = path.with_suffix(".png")
        Image.fromarray(scene(1)).save(path)
    if kind == "playlist":
        other = write_film(tmp_path / "other.mp4", panned(1, 24))
        path = tmp_path / "film.ffconcat"
        path.write_text(f"ffconcat version 1.0\nfile {other.name}\n")
    if kind == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    if kind == "picture":
        assert take(path)[0] == [], "one frame is no shot"
        return
    with pytest.raises(StillsError) as refused:
        take(path)
    assert refused.value.way_out


def test_a_film_of_unknown_length_cannot_be_shared_out(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.h264", panned(1, 48)) if HAS_X264 else tmp_path / "film.m4v"
    if not HAS_X264:
        write_film(path, panned(1, 48))
    assert len(take(path)[0]) == 1
    with pytest.raises(StillsError, match="does not state how long it is"):
        take(path, most=3)


def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    """A long shot of large frames: a few of them are held."""
    resource = pytest.importorskip("resource")
    large = np.kron(scene(1), np.ones((4, 4, 1), np.uint8))
    path = write_film(tmp_path / "film.mkv", [large], size=(1280, 720), codec="mpeg4")
    long = tmp_path / "long.mkv"
    with av.open(str(path)) as source, av.open(str(long), "w") as target:
        packet = next(source.demux(source.streams.video[0]))
        packet.stream = target.add_stream_from_template(source.streams.video[0])
        for number in range(150):
            packet.pts = packet.dts = number * 41
            target.mux(packet)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stills, _, film = take(long)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert film.frames == 150
    assert len(stills) == 1
    assert grown_mb < 100, "150 such frames decoded are 207 MB"


def test_a_shot_holds_a_few_frames_however_long_it_is() -> None:
    shot: Shot[int] = Shot(0.0, 0.0)
    for number in range(10_000):
        shot.add(Candidate(number / 24, 5.0 if number == 6001 else 1.0, number), (number + 1) / 24)
        assert len(shot._best) <= 8
    choice = shot.choice()
    assert choice is not None
    assert choice.frame == 6001


def test_cuts_are_told_of_every_frame_once() -> None:
    """At either end of the film too, where fewer frames stand around."""
    frames = [colours_of(Image.fromarray(scene(seed))) for seed in (0, *([1] * 9), *([2] * 5), 3)]
    finder = CutFinder()
    said = [told for frame in frames for told in finder.add(frame)] + finder.end()
    assert [place for place, cut in enumerate(said) if cut] == [1, 10, 15]
    assert len(said) == len(frames)


def test_names_tell_film_and_time_code() -> None:
    assert still_name("Cléo", 3725.1204) == "Cléo_01h02m05s120.jpg"
    assert still_name("Cle\u0301o", 59.9996) == "Cléo_00h01m00s000.jpg"
    assert os.fsencode(still_name("x", 0)) == b"x_00h00m00s000.jpg"


def test_what_fails_while_stills_are_kept_is_not_told_of_the_film(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", panned(1, 24))
    with pytest.raises(OSError, match="Input/output error"), opened_film(path):
        raise OSError(5, "Input/output error")
    with pytest.raises(StillsError, match="cannot be read"), opened_film(tmp_path):
        pass
