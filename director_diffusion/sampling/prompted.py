"""Prompted: what a base draws for prompts that a person types.

Belongs here: drawing them, and a grid with a row per prompt.  What a plan asks for is drawn by `draw`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from director_diffusion.families import painter_of
from director_diffusion.latents.buckets import nearest
from director_diffusion.progress import Progress
from director_diffusion.sampling.grids import labelled_grid
from director_diffusion.specs import Base

BATCH = 8
LEAST_SIDE = 96  # pixels of a cell; smaller pictures are enlarged by a whole factor


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
    painter = painter_of(base, folder, device=device)
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
    width = first.width * max(1, math.ceil(LEAST_SIDE / max(first.size)))
    return labelled_grid(rows, rows=[prompt or "(no prompt)" for prompt in prompts], width=width)
