"""Contact sheets: a director's stills at a glance.

Belongs here: the picture that the UI shows of a still set.
"""

from collections.abc import Sequence
from itertools import groupby

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet

_COLUMNS = 6
_CELL = (192, 108)  # pixels, of the picture
_LABEL = 16  # pixels, below each picture and for each heading
_GAP = 6
_BACKGROUND = (24, 24, 24)
_TEXT = (220, 220, 220)
_MARK = {"train": (70, 130, 200), "validation": (235, 215, 90), "held_out": (235, 160, 50), "none": (170, 60, 60)}


def contact_sheet(still_set: StillSet, limit: int = 120) -> Image.Image:
    """Kept stills by film (train in blue, validation in yellow, held-out in orange), then rejected ones with their
    reason, on one RGB sheet.

    At most `limit` stills are drawn, kept ones first, evenly taken from all; the headings count them all.
    """
    kept = _spread(sorted(still_set.kept, key=lambda still: (still.film, still.name)), limit)
    rejected = _spread(still_set.rejected, limit - len(kept))
    sections = [
        (_film_heading(still_set, film), list(stills)) for film, stills in groupby(kept, key=lambda still: still.film)
    ]
    if still_set.rejected:
        sections.append((f"rejected: {len(still_set.rejected)}", rejected))
    return _draw(still_set, _heading(still_set), sections)


def _heading(still_set: StillSet) -> str:
    return (
        f"{len(still_set.kept)} kept: {len(still_set.train)} for training (blue), {len(still_set.validation)} to "
        f"choose its step by (yellow), {len(still_set.held_out)} held out (orange); {len(still_set.rejected)} rejected"
    )


def _film_heading(still_set: StillSet, film: str) -> str:
    stills = [still for still in still_set.kept if still.film == film]
    untrained = sum(still.split != "train" for still in stills)
    return f"{film}: {len(stills)} kept, {untrained} not trained on"


def _draw(still_set: StillSet, heading: str, sections: Sequence[tuple[str, Sequence[Still]]]) -> Image.Image:
    cell_width, cell_height = _CELL[0] + _GAP, _CELL[1] + _LABEL + _GAP
    heights = [_LABEL + _GAP + -(-len(stills) // _COLUMNS) * cell_height for _, stills in sections]
    sheet = Image.new("RGB", (_GAP + _COLUMNS * cell_width, _LABEL + 2 * _GAP + sum(heights)), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    _write(pen, (_GAP, _GAP), heading, sheet.width - 2 * _GAP, font)
    top = _LABEL + 2 * _GAP
    for (title, stills), height in zip(sections, heights, strict=True):
        _write(pen, (_GAP, top), title, sheet.width - 2 * _GAP, font)
        for place, still in enumerate(stills):
            row, column = divmod(place, _COLUMNS)
            left, upper = _GAP + column * cell_width, top + _LABEL + _GAP + row * cell_height
            sheet.paste(_cell(still_set, still), (left, upper))
            label = still.name if still.status == "kept" else f"{still.name} {still.reason}"
            _write(pen, (left, upper + _CELL[1] + 1), label, _CELL[0], font)
        top += height
    return sheet


def _cell(still_set: StillSet, still: Still) -> Image.Image:
    """The still inside a frame of its side's colour; a rejected one dimmed, or empty where it is no picture."""
    cell = Image.new("RGB", _CELL, _BACKGROUND)
    if still.file or still.reference:
        picture = ImageOps.contain(still_set.open(still), (_CELL[0] - 6, _CELL[1] - 6))
        if still.status == "rejected":
            picture = ImageEnhance.Brightness(picture).enhance(0.35)
        cell.paste(picture, ((_CELL[0] - picture.width) // 2, (_CELL[1] - picture.height) // 2))
    ImageDraw.Draw(cell).rectangle((0, 0, _CELL[0] - 1, _CELL[1] - 1), outline=_MARK[still.split], width=3)
    return cell


def _write(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    width: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """One line of text, cut to `width` pixels."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    while pen.textlength(text, font) > width:
        text = text.removesuffix("…")[:-1] + "…"
    pen.text(place, text, fill=_TEXT, font=font)


def _spread(stills: Sequence[Still], count: int) -> list[Still]:
    """`count` of them, evenly spaced, in order."""
    if len(stills) <= count:
        return list(stills)
    return [stills[index * len(stills) // count] for index in range(max(count, 0))]
