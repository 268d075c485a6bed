"""Grids: samples side by side for people to look at.

Belongs here: pictures of pictures.  Nothing here is scored.
"""

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from director_diffusion.errors import EvaluationError
from director_diffusion.sampling.images import open_sample
from director_diffusion.sampling.rows import ARMS, Arm, Sample
from director_diffusion.storage import Store

LABELS: dict[Arm, str] = {"base": "base", "base_in_style": "base, in the style of", "adapter": "adapter"}
CELL = 256  # pixels, width of a picture in the grid
GAP = 8
LINE = 16  # pixels, height of a line of text
TEXT_COLOUR, BACKGROUND = (20, 20, 20), (255, 255, 255)


def comparison_grid(samples: Sequence[Sample], store: Store, *, limit: int = 8) -> Image.Image:
    """The first `limit` prompts as rows, the arms as columns, each at its first seed, under the prompt's words."""
    first: dict[tuple[int, str], Sample] = {}
    for sample in samples:
        first.setdefault((sample.prompt_index, sample.arm), sample)
    prompts = sorted({index for index, _ in first})[:limit]
    if not prompts:
        raise EvaluationError("comparison grid", "there are no samples", "Draw the plan's samples first.")
    tiles = {key: _tile(store, sample) for key, sample in first.items() if key[0] in prompts}
    tile_height = max(tile.height for tile in tiles.values())
    width = GAP + len(ARMS) * (CELL + GAP)
    row_height = LINE + 4 + tile_height + GAP
    grid = Image.new("RGB", (width, GAP + LINE + GAP + len(prompts) * row_height), BACKGROUND)
    pen, font = ImageDraw.Draw(grid), ImageFont.load_default(size=13)
    for column, arm in enumerate(ARMS):
        pen.text((GAP + column * (CELL + GAP), GAP), LABELS[arm], fill=TEXT_COLOUR, font=font)
    for row, index in enumerate(prompts):
        top = GAP + LINE + GAP + row * row_height
        prompt = next(sample for key, sample in first.items() if key[0] == index)
        words = textwrap.shorten(f"{prompt.prompt}  (seed {prompt.seed})", width=width // 7, placeholder=" …")
        pen.text((GAP, top), words, fill=TEXT_COLOUR, font=font)
        for column, arm in enumerate(ARMS):
            if (index, arm) in tiles:
                grid.paste(tiles[index, arm], (GAP + column * (CELL + GAP), top + LINE + 4))
    return grid


def _tile(store: Store, sample: Sample) -> Image.Image:
    image = open_sample(store, sample)
    height = max(1, round(image.height * CELL / image.width))
    # A drawn pixel stays a square where the picture is smaller than its cell.
    method = Image.Resampling.NEAREST if image.width < CELL else Image.Resampling.LANCZOS
    return image.resize((CELL, height), method)
