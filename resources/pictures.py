"""Pictures in run metadata.

Dagster shows no image type, but renders Markdown, so a picture travels as a small JPEG in a data URI.  Whoever sees the
UI sees it, and the event log keeps it: a deployment may ask for links to files of the store in place of pictures, or
for none.  Artifacts themselves always keep theirs, so what they are does not depend on it.
"""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from director_diffusion.hashing import hash_bytes, short
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import PICTURES

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_WIDTH = 1280  # pixels
MAX_BYTES = 200_000  # the event log keeps every preview, so it must stay small
INLINE, LINKS, NONE = "inline", "links", "none"
_KINDS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_PICTURE = re.compile(r"!\[((?:(?!\]\().)*)\]\(data:image/(jpeg|png|webp);base64,([A-Za-z0-9+/=]+)\)")
_DATA = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+")


@dataclass(frozen=True)
class Pictures:
    """How the Markdown of one artifact, which lies in `folder` of the store, shows its pictures."""

    mode: str
    store: Store
    folder: str

    def shown(self, text: str) -> str:
        """The Markdown with its pictures in it, with links to files that hold them, or with a word in their place."""
        if self.mode == INLINE:
            return text
        return _DATA.sub("", _PICTURE.sub(self._instead, text))

    def _instead(self, found: re.Match[str]) -> str:
        title, kind, data = found.groups()
        if self.mode == NONE:
            return f"{title} (not shown)"
        content = base64.b64decode(data)
        name = f"{self.folder}/{PICTURES}/{short(hash_bytes(content))}.{_KINDS[kind]}"
        if not self.store.present([name]):
            self.store.write(name, content)
        place = self.store.full(name)
        address = Path(place).as_uri() if self.store.local_root is not None else place
        return f"[{title}](<{address}>) `{place}`"  # browsers follow no link to a file: people copy its path


def image_markdown(image: "Image", title: str) -> str:
    """`image` as Markdown with its pixels inside, at most MAX_WIDTH wide and about MAX_BYTES large."""
    if image.width > MAX_WIDTH:
        image = image.resize((MAX_WIDTH, max(1, round(image.height * MAX_WIDTH / image.width))))
    quality, data = 85, b""
    while quality >= 25:
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=quality)
        data = buffer.getvalue()
        if len(data) <= MAX_BYTES:
            break
        quality -= 15
    return f"![{title}](data:image/jpeg;base64,{base64.b64encode(data).decode()})"
