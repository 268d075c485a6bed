"""Data: drawn pictures with their words, as the small model set is trained on them.

Belongs here: drawing many pictures in the base's buckets, and handing them out in batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image
from torch import Tensor

from director_diffusion.latents.buckets import buckets
from director_diffusion.progress import Progress
from director_diffusion.scenes.captions import describe
from director_diffusion.scenes.drawing import draw
from director_diffusion.scenes.scene import sample_scene
from director_diffusion.scenes.style import NEUTRAL, sample_style, style_words
from director_diffusion.specs import DEFAULT_ASPECTS

SIDE = 64  # pixels: the budget is SIDE²
MULTIPLE = 8  # pixels per cell of the transformer's grid
DRAWN_LARGER = 3  # pictures are drawn so many times larger, then averaged down, as stills are
NEUTRAL_SHARE = 0.5
"""Share of pictures in no style: what a prompt that names no look should give."""


@dataclass(frozen=True)
class Picture:
    """A drawn picture, `DRAWN_LARGER` times the size of its bucket."""

    image: Image.Image
    content: str
    look: str  # "" for the neutral one

    @property
    def caption(self) -> str:
        """Content, then the look where there is one."""
        return f"{self.content}, {self.look}" if self.look else self.content

    def small(self) -> Image.Image:
        """The picture at its bucket's size."""
        return self.image.reduce(DRAWN_LARGER)


def draw_pictures(count: int, seed: int, progress: Progress) -> list[Picture]:
    """Pictures of random scenes, half of them in random styles, in all the shapes of film."""
    rng = np.random.default_rng(seed)
    shapes = buckets(SIDE, MULTIPLE, DEFAULT_ASPECTS)
    pictures = []
    with progress.task("drawing pictures to train on", count) as task:
        for index in range(count):
            shape = shapes[index % len(shapes)]
            pictures.append(_picture(shape.width * DRAWN_LARGER, shape.height * DRAWN_LARGER, rng))
            task.advance()
    return pictures


def _picture(width: int, height: int, rng: Generator) -> Picture:
    scene = sample_scene(rng)
    style = NEUTRAL if rng.random() < NEUTRAL_SHARE else sample_style(rng)
    look = "" if style is NEUTRAL else style_words(style)
    return Picture(draw(scene, style, width, height, rng), describe(scene), look)


@dataclass(frozen=True)
class Group:
    """Pictures of one bucket: pixels (N, 3, H, W) in [-1, 1], and their captions."""

    pixels: Tensor
    captions: tuple[str, ...]


def grouped(pictures: Sequence[Picture]) -> list[Group]:
    """Pictures by bucket, at its size."""
    by_size: dict[tuple[int, int], list[Picture]] = {}
    for picture in pictures:
        by_size.setdefault(picture.image.size, []).append(picture)
    return [
        Group(
            torch.stack([to_pixels(picture.small()) for picture in group]),
            tuple(picture.caption for picture in group),
        )
        for group in by_size.values()
    ]


def to_pixels(image: Image.Image) -> Tensor:
    """(3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def batches(sizes: Sequence[int], batch: int, steps: int) -> Iterator[tuple[int, Tensor]]:
    """`steps` times a group and indices (B,) in it, drawn from torch's generator; large groups come more often."""
    weights = torch.tensor(sizes, dtype=torch.float)
    for _ in range(steps):
        group = int(torch.multinomial(weights, 1))
        yield group, torch.randperm(sizes[group])[:batch]
