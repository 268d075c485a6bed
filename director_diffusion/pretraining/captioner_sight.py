"""The captioner's sight: drawn pictures at the sizes that the captions stage would give them.

Belongs here: scaling pictures as `captions.qwen` has them scaled, and how sharp they come.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap

import torch
from PIL import Image, ImageDraw
from qwen_vl_utils.vision_process import fetch_image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import to_pil_image

from director_diffusion.pretraining.data import to_levels
from director_diffusion.pretraining.drawn import Picture, drawn_splits
from director_diffusion.pretraining.part_run import PartRun
from director_diffusion.pretraining.specs import CaptionerPart
from director_diffusion.scenes.scene import Scene
from director_diffusion.specs import Base

MERGED = 2  # patches along a side of one token
_SHOWN_LARGER = 3
_LINE = 14  # pixels of a line of text


@dataclass(frozen=True)
class Sights:
    """What was seen at one size, and what it was."""

    levels: Tensor  # (N, 3, height, width), uint8
    scenes: tuple[Scene, ...]

    def __len__(self) -> int:
        return len(self.scenes)


def see_drawn_scenes(base: Base, part: CaptionerPart, run: PartRun) -> tuple[list[Sights], list[Sights]]:
    """Sights to train on, and held out from it, of pictures at the base's resolution, by size."""
    training, held_out = drawn_splits(base, part, run)
    return see(training, part), see(held_out, part)


def see(pictures: Iterable[Picture], part: CaptionerPart) -> list[Sights]:
    """Each picture large, as stills come, and small, as generated pictures do: sharpness must tell nothing."""
    by_size: dict[tuple[int, int], list[tuple[Tensor, Scene]]] = defaultdict(list)
    cell = (MERGED * part.patch) ** 2
    limits = {"min_pixels": min(4 * cell, part.max_pixels), "max_pixels": part.max_pixels}
    for picture in pictures:
        for image in (picture.image, picture.small()):
            scaled = fetch_image({"image": image, **limits}, image_patch_size=part.patch)
            by_size[scaled.size].append((to_levels(scaled), picture.scene))
    return [
        Sights(torch.stack([levels for levels, _ in rows]), tuple(scene for _, scene in rows))
        for _, rows in sorted(by_size.items())
    ]


def blurred_at_random(levels: Tensor) -> Tensor:
    """(N, 3, H, W) of uint8, a third of the batches less sharp: what a base draws is softer than what was drawn."""
    if torch.rand(()) >= 1 / 3:
        return levels
    height, width = levels.shape[-2:]
    scale = 0.5 + 0.4 * float(torch.rand(()))
    small = F.interpolate(
        levels.float(), size=(round(scale * height), round(scale * width)), mode="bilinear", antialias=True
    )
    return F.interpolate(small, size=(height, width), mode="bilinear").round().clamp(0, 255).byte()


def captioned(levels: Tensor, texts: Sequence[str]) -> Image.Image:
    """Pictures (N, 3, H, W) of uint8 one below the other, each beside its text."""
    height, width = (_SHOWN_LARGER * side for side in levels.shape[-2:])
    paper = Image.new("RGB", (width + 300, len(texts) * height), "white")
    pen = ImageDraw.Draw(paper)
    for row, (picture, text) in enumerate(zip(levels, texts, strict=True)):
        paper.paste(to_pil_image(picture).resize((width, height)), (0, row * height))
        pen.text((width + _LINE, row * height + _LINE), "\n".join(wrap(text, 44)), fill="black")
    return paper
