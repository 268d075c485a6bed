"""The captions' gallery: some stills with their captions, to be looked at.

Belongs here: a Markdown table with small pictures in it, as the UI shows it.
"""

import base64
import html
import io
from collections.abc import Sequence

from PIL import Image

from director_diffusion.captions.caption import KeptStills
from director_diffusion.captions.rows import Caption

THUMBNAIL = (176, 132)  # pixels at most
QUALITY = 70  # JPEG; about 5 kB a picture, so that the event log stays small
_SOURCE = {"person": "a person", "model": "the model", "none": "**needs a person**"}


def caption_gallery(still_set: KeptStills, captions: Sequence[Caption], limit: int = 12) -> str:
    """At most `limit` stills with captions: those that need a person first (up to a half), then an even choice."""
    stills = {still.still: still for still in still_set.kept}
    needing = [caption for caption in captions if caption.status == "needs_person"]
    ready = [caption for caption in captions if caption.status == "ok"]
    first = _evenly(needing, max(limit // 2, limit - len(ready)))
    shown = first + _evenly(ready, limit - len(first))
    lines = ["| still | caption | by |", "|---|---|---|"]
    for caption in shown:
        picture = _data_uri(still_set.open(stills[caption.still]))
        what = _plain(caption.text) or f"_{_plain('; '.join(caption.problems))}_"
        lines.append(f"| ![{_plain(caption.name)}]({picture}) | {what} | {_SOURCE[caption.source]} |")
    return "\n".join(lines)


def _evenly(captions: Sequence[Caption], count: int) -> list[Caption]:
    count = min(count, len(captions))
    return [captions[place * len(captions) // count] for place in range(count)]


def _data_uri(image: Image.Image) -> str:
    image = image.copy()
    image.thumbnail(THUMBNAIL)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _plain(text: str) -> str:
    """Text that Markdown shows as it stands: file names and captions come from outside."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{char}" if char in "\\`*_[]|!#~" else char for char in escaped)
