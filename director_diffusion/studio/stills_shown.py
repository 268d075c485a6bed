"""Stills on show: what the tab Stills tells of them, and a person's decision as a page sends it.

Belongs here: words, small pictures and bounds.  Imports no gradio.
"""

import html
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, get_args

from PIL import Image, ImageDraw, ImageEnhance
from pydantic import ValidationError

from director_diffusion.errors import EditError, OrderError, StillsError
from director_diffusion.sampling.images import png_bytes
from director_diffusion.stills.deciding import ShownStill, decide, open_upright, shown_stills
from director_diffusion.stills.decisions import MOST_REASON, MOST_WHO, Decision, crop_box
from director_diffusion.stills.decisions import row_of as decision_row
from director_diffusion.storage import Store
from director_diffusion.studio.made import check_made
from director_diffusion.studio.orders import checked_choice, checked_number, checked_text
from director_diffusion.studio.studio import Studio

PAGE = 24  # stills at once
THUMB, LARGE = 320, 960  # pixels, longer side
_THUMBS = 256  # small pictures that are kept in memory, some 100 kB each
_FRAME, _OUTSIDE = (235, 160, 50), 0.35
_NO_PICTURE, _CHANGED = "no picture", "changed since the last run"

Choice = Literal["all", "kept", "rejected", "held out", "with a decision", "waiting for a run"]
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)

Crop = tuple[float, float, float, float]
_WHOLE: Crop = (0.0, 0.0, 1.0, 1.0)


def stills_on_show(studio: Studio, director: object) -> list[ShownStill]:
    """A director's stills.  Raises OrderError for no director, or one without stills yet."""
    slug = checked_choice("director", director, studio.directors)
    check_made(studio.store, ("stills",), slug)
    return shown_stills(studio.store, slug)


def chosen(stills: Sequence[ShownStill], choice: object) -> list[ShownStill]:
    """Those of a kind."""
    wanted = checked_choice("what to show", choice, dict.fromkeys(CHOICES))
    return [one for one in stills if wanted == "all" or wanted in _kinds(one)]


def label(shown: ShownStill) -> str:
    """A line under its small picture."""
    still = shown.still
    state = still.split.replace("_", " ") if still.status == "kept" else f"rejected: {still.reason}"
    return f"{'● ' if shown.waiting else ''}{still.name} – {state}"


def told(shown: ShownStill) -> str:
    """All that is known of a still, as HTML of which nothing is taken from names and reasons."""
    still = shown.still
    state = f"kept, {still.split.replace('_', ' ')}" if still.status == "kept" else f"rejected: {still.reason}"
    rows = [("still", shown.name), ("by the last run", state)]
    rows += [("note", note) for note in still.warnings]
    if still.width:
        rows.append(("size", f"{still.width} × {still.height} pixels"))
    rows.append(("decision now", _decided(shown)))
    if shown.waiting:
        rows.append(("", "Takes effect with the next run: director run, or the sensor for changed inputs."))
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def checked_crop(values: Sequence[object]) -> Crop:
    """Left, top, right, bottom of a page's four percentages.  Raises OrderError for what is no crop."""
    names = ("left", "top", "right", "bottom")
    left, top, right, bottom = (
        round(checked_number(name, value, 0, 100) / 100, 4) for name, value in zip(names, values, strict=True)
    )
    if not (left < right and top < bottom):
        raise OrderError("crop", "is empty", "Keep left of right, and top above bottom.")
    return left, top, right, bottom


class Stills:
    """A director's stills, shown and decided on as they were shown.

    Decisions raise OrderError or EditError for what is refused, ChangedError where somebody else decided since.
    """

    def __init__(self, studio: Studio):
        self._studio = studio

    def thumb(self, director: str, shown: ShownStill) -> str:
        """Address of a small picture, inside the still's crop; dimmed where it is rejected, a word for what is none."""
        still = shown.still
        crop = still.crop if still.width else ()
        most = self._studio.directors[director].stills.max_megapixels
        try:
            png = _thumb(self._studio.store, shown.source, still.sha256, most, crop, still.status == "rejected")
        except StillsError:
            return self._studio.shelf.put(empty(THUMB, _CHANGED))
        return self._studio.shelf.put_png(png)

    def large(self, director: str, shown: ShownStill, crop: Crop | None = None) -> tuple[str, Crop]:
        """Address of the whole picture with what `crop` would leave of it framed, and that crop: if none is
        asked for, a person's, else the last run's."""
        most = self._studio.directors[director].stills.max_megapixels
        try:
            picture = open_upright(self._studio.store, shown.source, shown.still.sha256, most)
        except StillsError:
            return self._studio.shelf.put(empty(LARGE, _CHANGED)), crop or _WHOLE
        if picture is None:
            return self._studio.shelf.put(empty(LARGE, _NO_PICTURE)), _WHOLE
        crop = crop or (shown.decision.crop if shown.decision is not None else None)
        crop = crop or _shares(shown.still.crop, *picture.size)
        picture.thumbnail((LARGE, LARGE))
        box = crop_box(decision_row("", "", Decision(crop=crop)), picture.width, picture.height)
        assert box is not None
        dimmed = ImageEnhance.Brightness(picture).enhance(_OUTSIDE)
        dimmed.paste(picture.crop(box), box)
        ImageDraw.Draw(dimmed).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=_FRAME, width=2)
        return self._studio.shelf.put(dimmed), crop

    def keep(self, director: str, shown: ShownStill, reason: object, who: str | None) -> None:
        """Keep a still whatever the rules say, in the crop that a person gave it."""
        crop = shown.decision.crop if shown.decision is not None else None
        self._decide(director, shown, reason, who, decision="keep", crop=crop)

    def reject(self, director: str, shown: ShownStill, reason: object, who: str | None) -> None:
        """Take a still out, with a reason in words."""
        self._decide(director, shown, reason, who, decision="reject")

    def crop(self, director: str, shown: ShownStill, crop: Crop, reason: object, who: str | None) -> None:
        """Crop a still, which stays kept by a person where it was; the whole picture is a crop too."""
        now = shown.decision.decision if shown.decision is not None else None
        if now == "reject":
            raise EditError(shown.name, "is rejected by a person", "Keep it first, then crop it.")
        self._decide(director, shown, reason, who, decision=now, crop=crop)

    def take_back(self, director: str, shown: ShownStill) -> None:
        """Leave a still to the rules again.  Raises EditError where nobody decided on it."""
        if shown.decision is None and not shown.problem:
            raise EditError(shown.name, "has no decision", "There is nothing to take back.")
        decide(self._studio.store, director, shown, None)

    def _decide(
        self,
        director: str,
        shown: ShownStill,
        reason: object,
        who: str | None,
        *,
        decision: Literal["keep", "reject"] | None,
        crop: Crop | None = None,
    ) -> None:
        why = checked_text("reason", reason, MOST_REASON)
        try:
            said = Decision(decision=decision, reason=why, crop=crop, who=(who or "")[:MOST_WHO])
        except ValidationError as error:
            problem = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
            raise EditError("decision", problem, "Change it and save again.") from None
        decide(self._studio.store, director, shown, said)


@lru_cache(_THUMBS)
def _thumb(store: Store, source: str, sha256: str, most: float, crop: tuple[int, ...], dimmed: bool) -> bytes:
    picture = open_upright(store, source, sha256, most)
    if picture is None:
        return png_bytes(empty(THUMB, _NO_PICTURE))
    if crop:
        picture = picture.crop(crop)  # type: ignore[arg-type]
    picture.thumbnail((THUMB, THUMB))
    return png_bytes(ImageEnhance.Brightness(picture).enhance(0.5) if dimmed else picture)


def _kinds(shown: ShownStill) -> set[str]:
    found: set[str] = {shown.still.status}
    if shown.still.split in ("held_out", "validation"):
        found.add("held out")
    if shown.decision is not None or shown.problem:
        found.add("with a decision")
    if shown.waiting:
        found.add("waiting for a run")
    return found


def _decided(shown: ShownStill) -> str:
    if shown.problem:
        return f"its file {shown.problem}"
    if (one := shown.decision) is None:
        return "none: the rules decide"
    crop = f"crop to {', '.join(f'{100 * edge:g} %' for edge in one.crop)}" if one.crop else ""
    words = ", ".join(filter(None, (one.decision or "", crop)))
    return f"{words}{f' – {one.reason}' if one.reason else ''}{f' ({one.who})' if one.who else ''}"


def _shares(crop: tuple[int, ...], width: int, height: int) -> Crop:
    """A crop in pixels as shares of the sides; of none, the whole."""
    if not crop:
        return _WHOLE
    left, top, right, bottom = crop
    return round(left / width, 4), round(top / height, 4), round(right / width, 4), round(bottom / height, 4)


def empty(side: int, words: str) -> Image.Image:
    """A picture that says why there is none."""
    image = Image.new("RGB", (side, side * 9 // 16), (60, 60, 60))
    at = (image.width / 2, image.height / 2)
    ImageDraw.Draw(image).text(at, words, fill=(220, 220, 220), anchor="mm", font_size=side / 16)
    return image
