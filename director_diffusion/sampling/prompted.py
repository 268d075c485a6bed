"""Prompted: what a base draws for prompts that a person types.

Belongs here: drawing them, and a grid with a row per prompt.  What a plan asks for is drawn by `draw`.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from director_diffusion.families import get_family
from director_diffusion.latents.buckets import nearest
from director_diffusion.progress import Progress
from director_diffusion.sampling.grids import BACKGROUND, GAP, LINE, TEXT_COLOUR
from director_diffusion.specs import Base

BATCH = 8
LEAST_SIDE = 96  # pixels of a cell; smaller pictures are enlarged by a whole factor
LETTER = 7  # pixels, about


@dataclass(frozen=True)
class Request:
    """What is asked of a base."""

    prompts: tuple[str, ...]
    seeds: tuple[int, ...]  # each prompt is drawn from each
    steps: int
    guidance: float
    aspect: float  # the base's nearest bucket is drawn


def draw_prompted(
    request: Request, base: Base, folder: Path, *, device: str, progress: Progress
) -> list[list[Image.Image]]:
    """A row of images per prompt, by seed.  Raises as the family's painter does."""
    bucket = nearest(base.resolution, request.aspect)
    painter = get_family(base.family).load_painter(
        folder,
        device=device,
        dtype=getattr(torch, base.dtype),
        guidance_kind=base.guidance.kind,
        max_tokens=base.max_prompt_tokens,
    )
    wanted = [(prompt, seed) for prompt in request.prompts for seed in request.seeds]
    images: list[Image.Image] = []
    with progress.task("drawing", len(wanted)) as task:
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            images += painter.draw(
                [prompt for prompt, _ in batch],
                [seed for _, seed in batch],
                width=bucket.width,
                height=bucket.height,
                steps=request.steps,
                guidance=request.guidance,
            )
            task.advance(len(batch))
    per_row = len(request.seeds)
    return [images[start : start + per_row] for start in range(0, len(images), per_row)]


def prompted_grid(prompts: Sequence[str], rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Each prompt's words above its row of equally large images."""
    first = rows[0][0]
    factor = max(1, math.ceil(LEAST_SIDE / max(first.size)))
    width, height = first.width * factor, first.height * factor
    row_height = LINE + 4 + height + GAP
    grid = Image.new("RGB", (GAP + len(rows[0]) * (width + GAP), GAP + len(rows) * row_height), BACKGROUND)
    pen, font = ImageDraw.Draw(grid), ImageFont.load_default(size=13)
    for number, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        top = GAP + number * row_height
        words = textwrap.shorten(prompt, width=max(grid.width // LETTER, 6), placeholder=" …")
        pen.text((GAP, top), words or "(no prompt)", fill=TEXT_COLOUR, font=font)
        for column, image in enumerate(row):
            cell = image.resize((width, height), Image.Resampling.NEAREST)
            grid.paste(cell, (GAP + column * (width + GAP), top + LINE + 4))
    return grid
