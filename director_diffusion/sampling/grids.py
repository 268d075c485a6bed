"""Grids: samples side by side for people to look at.

Belongs here: pictures of pictures.  Nothing here is scored.
"""

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from director_diffusion.errors import EvaluationError
from director_diffusion.sampling.images import open_sample
from director_diffusion.sampling.rows import ARMS, FEW_STEP_ARMS, FOLD_ARMS, Arm, Sample
from director_diffusion.storage import Store

LABELS: dict[Arm, str] = {
    "base": "base",
    "base_in_style": "base, in the style of",
    "adapter": "adapter",
    "first_fold": "first fold's adapter",
    "second_fold": "second fold's adapter",
    "turbo_1": "1 step",
    "turbo_2": "2 steps",
    "turbo_4": "4 steps",
    "turbo_8": "8 steps",
    "stock_1": "stock, 1 step",
    "stock_2": "stock, 2 steps",
    "stock_4": "stock, 4 steps",
    "stock_8": "stock, 8 steps",
}
CELL = 256  # pixels, width of a picture in the grid
GAP = 8
LINE = 16  # pixels, height of a line of text
LETTER = 7  # pixels, about
TEXT_COLOUR, BACKGROUND = (20, 20, 20), (255, 255, 255)


def comparison_grid(samples: Sequence[Sample], store: Store, *, limit: int = 8) -> Image.Image:
    """The first `limit` prompts as rows, the arms as columns, each at its first seed, under the prompt's words."""
    first: dict[tuple[int, str], Sample] = {}
    for sample in samples:
        first.setdefault((sample.prompt_index, sample.arm), sample)
    prompts = sorted({index for index, _ in first})[:limit]
    if not prompts:
        raise EvaluationError("comparison grid", "there are no samples", "Draw the plan's samples first.")
    words = {index: next(one for key, one in first.items() if key[0] == index) for index in prompts}
    more = (*FOLD_ARMS, *FEW_STEP_ARMS)
    arms = (*ARMS, *(arm for arm in more if any(one == arm for _, one in first)))
    cells = [[first.get((index, arm)) for arm in arms] for index in prompts]
    return labelled_grid(
        [[None if sample is None else open_sample(store, sample) for sample in row] for row in cells],
        rows=[f"{words[index].prompt}  (seed {words[index].seed})" for index in prompts],
        columns=[LABELS[arm] for arm in arms],
        width=CELL,
    )


def row_of(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one shape side by side."""
    return labelled_grid([list(pictures)], rows=[""], width=CELL)


def labelled_grid(
    cells: Sequence[Sequence[Image.Image | None]], *, rows: Sequence[str], columns: Sequence[str] = (), width: int
) -> Image.Image:
    """Rows of pictures of one shape, `width` pixels wide each, under their own words and their columns' titles."""
    height = max(round(cell.height * width / cell.width) for row in cells for cell in row if cell is not None) or 1
    top = GAP + (LINE + GAP if columns else 0)
    row_height = LINE + 4 + height + GAP
    grid = Image.new("RGB", (GAP + len(cells[0]) * (width + GAP), top + len(rows) * row_height), BACKGROUND)
    pen, font = ImageDraw.Draw(grid), ImageFont.load_default(size=13)
    for column, title in enumerate(columns):
        pen.text((GAP + column * (width + GAP), GAP), title, fill=TEXT_COLOUR, font=font)
    for title, row in zip(rows, cells, strict=True):
        words = textwrap.shorten(title, width=max(grid.width // LETTER, 6), placeholder=" …")
        pen.text((GAP, top), words, fill=TEXT_COLOUR, font=font)
        for column, cell in enumerate(row):
            if cell is not None:
                grid.paste(_scaled(cell, width), (GAP + column * (width + GAP), top + LINE + 4))
        top += row_height
    return grid


def _scaled(image: Image.Image, width: int) -> Image.Image:
    height = max(1, round(image.height * width / image.width))
    # A drawn pixel stays a square where the picture is smaller than its cell.
    method = Image.Resampling.NEAREST if image.width < width else Image.Resampling.LANCZOS
    return image.resize((width, height), method)
