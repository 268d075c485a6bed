"""Drawn scenes as training data: pictures that know what they show and how they look.

Belongs here: drawing many of them in a base's buckets.  What a scene is and how it is drawn is `scenes`'s.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image

from director_diffusion.latents.buckets import Bucket, buckets
from director_diffusion.pretraining.data import Group, to_levels
from director_diffusion.pretraining.part_run import PartRun, trained_here
from director_diffusion.pretraining.specs import DrawnPart, DrawnScenes
from director_diffusion.progress import Progress, track
from director_diffusion.scenes.captions import describe
from director_diffusion.scenes.drawing import draw
from director_diffusion.scenes.scene import Scene, sample_scene
from director_diffusion.scenes.style import NEUTRAL, Style, sample_style, style_words
from director_diffusion.specs import Base

DRAWN_LARGER = 3  # pictures are drawn so many times larger, then averaged down, as stills are


@dataclass(frozen=True)
class Picture:
    """A drawn picture, `DRAWN_LARGER` times the size of its bucket."""

    image: Image.Image
    scene: Scene
    style: Style

    @property
    def content(self) -> str:
        return describe(self.scene)

    @property
    def look(self) -> str:
        """The style in words; "" for none."""
        return "" if self.style == NEUTRAL else style_words(self.style)

    @property
    def prompt(self) -> str:
        """Content, then the look where there is one."""
        return f"{self.content}, {self.look}" if self.look else self.content

    def small(self) -> Image.Image:
        """The picture at its bucket's size."""
        return self.image.reduce(DRAWN_LARGER)


def drawn_pictures(
    count: int, shapes: Sequence[Bucket], *, seed: int, styled_share: float, progress: Progress, start: int = 0
) -> Iterator[Picture]:
    """Pictures number `start` to `start + count` of a seed: random scenes, a share of them in random styles.

    Each depends on seed and number alone, so those from another `start` are held out of a training on the first ones.
    """
    for number in track(range(start, start + count), progress, "drawing pictures", count):
        rng = np.random.default_rng((seed, number))
        shape = shapes[int(rng.integers(len(shapes)))]
        scene = sample_scene(rng)
        style = sample_style(rng) if rng.random() < styled_share else NEUTRAL
        image = draw(scene, style, shape.width * DRAWN_LARGER, shape.height * DRAWN_LARGER, rng)
        yield Picture(image, scene, style)


def drawn_splits(base: Base, part: DrawnPart, run: PartRun) -> tuple[Iterator[Picture], Iterator[Picture]]:
    """Pictures to train a part on, and held out from it, in the base's buckets; drawn as they are asked for."""
    spec, resolution = trained_here(base), base.resolution
    assert isinstance(spec.data, DrawnScenes)  # the spec's own check sees to that
    shapes = buckets(resolution.side, resolution.multiple, resolution.aspects)
    drawn = partial(
        drawn_pictures, shapes=shapes, seed=spec.seed, styled_share=part.styled_share, progress=run.progress
    )
    pictures = spec.data.pictures
    return drawn(pictures), drawn(spec.data.held_out, start=pictures)


def grouped(pictures: Iterator[Picture]) -> list[Group]:
    """Pictures at their buckets' sizes, by size."""
    by_size: dict[tuple[int, int], list[tuple[torch.Tensor, tuple[str, ...]]]] = {}
    for picture in pictures:
        small = picture.small()
        by_size.setdefault(small.size, []).append((to_levels(small), (picture.prompt,)))
    return [
        Group(torch.stack([levels for levels, _ in rows]), tuple(prompts for _, prompts in rows))
        for _, rows in sorted(by_size.items())
    ]
