"""Views: drawn pictures as a judge of pictures sees them, all at one size, whatever size they come in.

Belongs here: scaling to that size, and drawing many scenes straight into it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from director_diffusion.pretraining.data import to_levels
from director_diffusion.pretraining.drawn import Picture, drawn_splits
from director_diffusion.pretraining.part_run import PartRun
from director_diffusion.pretraining.specs import DrawnPart
from director_diffusion.scenes.scene import Scene
from director_diffusion.scenes.style import Style
from director_diffusion.specs import Base


@dataclass(frozen=True)
class Eye:
    """How a judge takes pictures: scaled to one size with nothing cut away, then centred by colour statistics."""

    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def see(self, image: Image.Image) -> Tensor:
        """(3, height, width), uint8; as open_clip and timm "squash" an RGB image."""
        return to_levels(image.resize((self.width, self.height), Image.Resampling.BICUBIC))

    def normalised(self, levels: Tensor) -> Tensor:
        """(N, 3, height, width) of uint8, as a model takes it."""
        mean, std = (torch.tensor(values, device=levels.device)[:, None, None] for values in (self.mean, self.std))
        return (levels.float() / 255 - mean) / std


@dataclass(frozen=True)
class Views:
    """What was seen, and what it was."""

    levels: Tensor  # (N, 3, height, width), uint8
    scenes: tuple[Scene, ...]
    styles: tuple[Style, ...]


def see(pictures: Iterable[Picture], eye: Eye) -> Views:
    """By turns the large picture, as stills come, and the small one, as generated pictures do: sharpness must tell
    nothing."""
    levels, scenes, styles = [], [], []
    for number, picture in enumerate(pictures):
        levels.append(eye.see(picture.small() if number % 2 else picture.image))
        scenes.append(picture.scene)
        styles.append(picture.style)
    return Views(torch.stack(levels), tuple(scenes), tuple(styles))


def see_drawn_scenes(base: Base, part: DrawnPart, eye: Eye, run: PartRun) -> tuple[Views, Views]:
    """Views to train on, and held out from it, of pictures at the base's resolution."""
    training, held_out = drawn_splits(base, part, run)
    return see(training, eye), see(held_out, eye)


def flipped_at_random(levels: Tensor) -> Tensor:
    """(N, C, H, W), about half of them mirrored left to right, which neither content nor style tells."""
    mirrored = torch.rand(len(levels)) < 0.5
    return torch.where(mirrored[:, None, None, None].to(levels.device), levels.flip(-1), levels)
