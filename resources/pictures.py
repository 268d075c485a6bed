"""Pictures in run metadata.

Dagster shows no image type, but renders Markdown, so a picture travels as a small JPEG in a data URI.
"""

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_WIDTH = 1280  # pixels
MAX_BYTES = 200_000  # the event log keeps every preview, so it must stay small


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
