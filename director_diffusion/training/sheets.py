"""Sheets: pictures of a training side by side.

Belongs here: layout.
"""

import math
import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from director_diffusion.sampling.grids import BACKGROUND, GAP, LINE, TEXT_COLOUR

MOST_WIDTH, LEAST_WIDTH = 192, 96  # pixels of a cell
LETTER = 7  # pixels, about


def contact_sheet(
    cells: Sequence[Sequence[Image.Image]], *, rows: Sequence[str], columns: Sequence[str]
) -> Image.Image:
    """Rows of equally large pictures under their columns' titles, each row under its own."""
    width, height = _cell(cells[0][0].size)
    row_height = LINE + 4 + height + GAP
    sheet = Image.new(
        "RGB", (GAP + len(columns) * (width + GAP), GAP + LINE + GAP + len(rows) * row_height), BACKGROUND
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for column, title in enumerate(columns):
        pen.text((GAP + column * (width + GAP), GAP), title, fill=TEXT_COLOUR, font=font)
    for number, (title, row) in enumerate(zip(rows, cells, strict=True)):
        top = GAP + LINE + GAP + number * row_height
        words = textwrap.shorten(title, width=max(sheet.width // LETTER, 6), placeholder=" …")
        pen.text((GAP, top), words, fill=TEXT_COLOUR, font=font)
        for column, image in enumerate(row):
            method = Image.Resampling.NEAREST if image.width < width else Image.Resampling.LANCZOS
            sheet.paste(image.resize((width, height), method), (GAP + column * (width + GAP), top + LINE + 4))
    return sheet


def _cell(size: tuple[int, int]) -> tuple[int, int]:
    """A size to show pictures at: small ones enlarged by a whole factor, large ones made small."""
    width, height = size
    if width > MOST_WIDTH:
        return MOST_WIDTH, max(1, round(height * MOST_WIDTH / width))
    factor = math.ceil(LEAST_WIDTH / width)
    return width * factor, height * factor
