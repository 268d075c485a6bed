"""Frames: what a single decoded still tells of itself, and which black bars its film agrees on.

Belongs here: measuring one picture (dark margins, sharpness, a small copy for later questions), deciding bars by the
votes of a film's stills, and spotting frames that show nothing.  Does not: comparing pictures with each other
(`similarity`).

How bars are told from dark scenes.  A bar is black and ends in a straight line, and bars come in equal pairs; a dark
scene fades into the picture.  So a still *votes* for bars only where its dark margin ends sharply on at least one side,
the other side is dark at least as far, and the picture between has one of film's aspect ratios.  It votes for none
where picture touches an edge.  Otherwise (a night scene) it abstains, and follows its film if its own margins are large
enough.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FILM_ASPECTS = (2.76, 2.55, 2.39, 2.35, 2.2, 2.0, 1.9, 1.85, 1.78, 1.66, 1.43, 1.37, 1.33, 1.19)

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels
Margins = tuple[int, int]  # dark lines at the near (left, top) and far (right, bottom) end

_DARK = 32  # of 255: limited-range black is 16, and JPEG rings a little
_LIT_SHARE = 0.01  # of a line's pixels; fewer bright ones are noise
_SHARP_SHARE = 0.35  # of a line's pixels turn bright at once where a bar ends
_EDGE_LINES = 3  # within which a bar's edge is over, chroma bleeding included
_MIN_BAR = 0.01  # of the side
_MIN_PICTURE = 0.45  # of the side: 2.39 inside 1.19 still leaves half
_SNAP = 0.02  # relative distance to a real aspect ratio
_SECOND_RATIO = 0.25  # share of votes with which a further ratio counts: some films change theirs

THUMB = 256  # pixels, longer side
_SHARPNESS_SIDE = 480  # pixels, longer side, at which sharpness is measured: file size must not matter
_BLURRED = 12.0  # variance of the Laplacian (levels²) below which a frame is badly blurred
_BLACK = 20  # of 255; not one pixel in a thousand is brighter
_SOLID = 6  # levels between the 1st and 99th percentile of every channel


@dataclass(frozen=True)
class Measured:
    """One decoded picture, reduced to what later decisions need."""

    width: int  # pixels, upright
    height: int
    rows: Margins
    columns: Margins
    bars: Box | None  # the picture between what seem to be bars
    ratio: float | None  # the film's aspect ratio of that box, where it has one: the vote
    sharpness: float  # variance of the Laplacian inside the dark margins

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def full(self) -> Box:
        return 0, 0, self.width, self.height

    @property
    def votes_for_none(self) -> bool:
        """Picture touches an edge of both pairs."""
        return min(self.rows) < _min_bar(self.height) and min(self.columns) < _min_bar(self.width)


def measure(image: Image.Image) -> Measured:
    """Measure an upright RGB picture."""
    grey = image.convert("L")
    lit = grey.point([0] * (_DARK + 1) + [255] * (255 - _DARK))
    row_lit = np.asarray(lit.resize((1, image.height), Image.Resampling.BOX), dtype=np.float32)[:, 0] / 255
    rows = _margins(row_lit)
    # Columns are looked at inside the rows' margins, else a letterbox would halve every column's light.
    top, bottom = (rows[0], image.height - rows[1]) if sum(rows) < image.height else (0, image.height)
    column_lit = np.asarray(
        lit.resize((image.width, 1), Image.Resampling.BOX, box=(0, top, image.width, bottom)), dtype=np.float32
    )[0]
    column_lit /= 255
    columns = _margins(column_lit)
    bars, ratio = _own_bars(row_lit, column_lit, rows, columns)
    inside = _inside(image.size, rows, columns)
    return Measured(
        width=image.width,
        height=image.height,
        rows=rows,
        columns=columns,
        bars=bars,
        ratio=ratio,
        sharpness=_sharpness(grey, inside),
    )


def small_copy(image: Image.Image) -> Image.Image:
    """An RGB picture with at most `THUMB` pixels on its longer side, to compare with others."""
    return image.reduce(max(1, -(-max(image.size) // THUMB)))


def film_crops(stills: Sequence[Measured]) -> list[Box]:
    """The picture's box of every still of one film; the whole still where no bars are to be removed.

    The ratio with most votes is the film's; another counts too if two stills and a quarter of the votes show it (films
    with IMAX or period sequences change ratio).  A still follows its own vote where that counts, else the film's ratio
    where its margins leave room for it.
    """
    ratios = _film_ratios(stills)
    agreed = _agreed_boxes(stills)
    return [_crop(still, ratios, agreed) for still in stills]


def shows_nothing(picture: Image.Image) -> str:
    """Why a frame (RGB, already without bars; a small copy will do) shows nothing, or ""."""
    samples = np.asarray(picture, dtype=np.uint8).reshape(-1, 3)
    if float(np.percentile(samples.max(axis=1), 99.9)) <= _BLACK:
        return "is a black frame"
    low, high = np.percentile(samples, [1, 99], axis=0)
    if float((high - low).max()) <= _SOLID:
        return "is a frame of one solid colour"
    return ""


def is_badly_blurred(still: Measured) -> bool:
    """Whether it is too soft to learn from: its sharpness (variance of the Laplacian, levels²) is below the bound."""
    return still.sharpness < _BLURRED


def thumb_of(still: Measured, thumb: Image.Image, crop: Box) -> Image.Image:
    """The part of a still's small copy that lies inside `crop`, RGB."""
    if crop == still.full:
        return thumb
    x, y = thumb.width / still.width, thumb.height / still.height
    left, top, right, bottom = crop
    box = (left * x, top * y, min(right * x, thumb.width), min(bottom * y, thumb.height))
    size = (max(round(box[2] - box[0]), 1), max(round(box[3] - box[1]), 1))
    return thumb.resize(size, Image.Resampling.BOX, box=box)


def _margins(lit: NDArray[np.floating]) -> Margins:
    """Dark lines at both ends of a picture, given the share of lit pixels of every line."""
    bright = np.flatnonzero(lit > _LIT_SHARE)
    if not len(bright):
        return len(lit), len(lit)
    return int(bright[0]), int(len(lit) - 1 - bright[-1])


def _own_bars(
    row_lit: NDArray[np.floating], column_lit: NDArray[np.floating], rows: Margins, columns: Margins
) -> tuple[Box | None, float | None]:
    height, width = len(row_lit), len(column_lit)
    (top, below), (left, right) = _pair(row_lit, rows), _pair(column_lit, columns)
    if top == 0 and left == 0:
        return None, None
    box = (left, top, width - right, height - below)
    return box, _snap((width - left - right) / (height - top - below))


def _pair(lit: NDArray[np.floating], margins: Margins) -> Margins:
    """Lines of the pair of bars across one direction; (0, 0) where there is none for certain."""
    length = len(lit)
    if min(margins) < _min_bar(length):
        return 0, 0
    sharp = [
        margin
        for margin, line in ((margins[0], lit), (margins[1], lit[::-1]))
        if margin < length and line[margin : margin + _EDGE_LINES].max() >= _SHARP_SHARE
    ]
    if not sharp:
        return 0, 0
    bar = min(sharp)
    if min(margins) < bar - _tolerance(length) or length - 2 * bar < _MIN_PICTURE * length:
        return 0, 0
    # An odd number of lines is shared out unevenly; a margin that is larger by more is dark picture.
    near, far = (margin if abs(margin - bar) <= 1 else bar for margin in margins)
    return near, far


def _film_ratios(stills: Sequence[Measured]) -> list[float]:
    """The ratios whose bars are removed, most votes first; empty where most stills show none."""
    votes = Counter(still.ratio for still in stills if still.ratio is not None)
    none = sum(still.ratio is None and still.votes_for_none for still in stills)
    all_votes = votes.total() + none
    ranked = sorted(votes.items(), key=lambda item: (-item[1], -item[0]))
    return [
        ratio
        for place, (ratio, count) in enumerate(ranked)
        if (place == 0 and count > none) or (count >= 2 and count >= _SECOND_RATIO * all_votes)
    ]


def _agreed_boxes(stills: Sequence[Measured]) -> dict[tuple[tuple[int, int], float], Box]:
    """The most frequent box of every frame size and ratio: single stills measure a line too much or too little."""
    boxes: dict[tuple[tuple[int, int], float], Counter[Box]] = {}
    for still in stills:
        if still.ratio is not None and still.bars is not None:
            boxes.setdefault((still.size, still.ratio), Counter())[still.bars] += 1
    return {key: max(counts.items(), key=lambda item: (item[1], item[0]))[0] for key, counts in boxes.items()}


def _crop(still: Measured, ratios: list[float], agreed: dict[tuple[tuple[int, int], float], Box]) -> Box:
    if still.votes_for_none:
        return still.full
    own = [still.ratio] if still.ratio in ratios and still.ratio is not None else []
    for ratio in dict.fromkeys(own + ratios):
        box = agreed.get((still.size, ratio))
        if box is not None and _fits(still, box):
            return _to_ratio(box, ratio)
    return _to_ratio(still.bars, own[0]) if own and still.bars is not None else still.full


def _fits(still: Measured, box: Box) -> bool:
    """Whether all that lies outside `box` is dark."""
    left, top, right, bottom = box
    slack = _tolerance(min(still.size))
    needed = ((still.columns, (left, still.width - right)), (still.rows, (top, still.height - bottom)))
    return all(have + slack >= want for margins, bars in needed for have, want in zip(margins, bars, strict=True))


def _to_ratio(box: Box, ratio: float) -> Box:
    """Trim a picture between two bars to `ratio`, in the bars' direction.  Never grows it: what lies outside is bar."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if left == 0 and top > 0:
        trimmed = min(height, round(width / ratio))
        top += (height - trimmed) // 2
        bottom = top + trimmed
    elif top == 0 and left > 0:
        trimmed = min(width, round(height * ratio))
        left += (width - trimmed) // 2
        right = left + trimmed
    return left, top, right, bottom


def _snap(aspect: float) -> float | None:
    nearest = min(FILM_ASPECTS, key=lambda ratio: abs(np.log(ratio / aspect)))
    return nearest if abs(nearest / aspect - 1) <= _SNAP else None


def _inside(size: tuple[int, int], rows: Margins, columns: Margins) -> Box:
    """The picture without its dark margins; the whole where that would leave too little."""
    width, height = size
    box = (columns[0], rows[0], width - columns[1], height - rows[1])
    return box if box[2] - box[0] >= 16 and box[3] - box[1] >= 16 else (0, 0, width, height)


def _sharpness(grey: Image.Image, box: Box) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) at a normalised size, in levels²."""
    factor = max(1, round(max(grey.size) / _SHARPNESS_SIDE))
    small = np.asarray(grey.reduce(factor, box=box), dtype=np.float32)
    if min(small.shape) < 3:
        return 0.0
    laplacian = (
        small[:-2, 1:-1] + small[2:, 1:-1] + small[1:-1, :-2] + small[1:-1, 2:] - 4 * small[1:-1, 1:-1]
    )  # fmt: skip
    return float(laplacian.var())


def _min_bar(length: int) -> int:
    return max(2, round(_MIN_BAR * length))


def _tolerance(length: int) -> int:
    return max(1, round(0.005 * length))
