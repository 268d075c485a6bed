"""Data: small pictures with their prompts, as parts are trained on them.

Belongs here: what all sources come down to, and handing pictures out in batches.  Drawn scenes are `drawn`'s, image
files `images`'.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """Pictures of one size."""

    pixels: Tensor  # (N, C, H, W), uint8
    prompts: tuple[tuple[str, ...], ...]  # what each picture may be asked for by; one or more each

    def __len__(self) -> int:
        return len(self.prompts)

    def head(self, count: int) -> "Group":
        """The first `count` pictures, or all."""
        return Group(self.pixels[:count], self.prompts[:count])


def choose_rows(sizes: Sequence[int], batch: int) -> tuple[int, Tensor]:
    """A group and indices (B,) in it, drawn from torch's generator; large groups come more often."""
    group = int(torch.multinomial(torch.tensor(sizes, dtype=torch.float), 1))
    return group, torch.randperm(sizes[group])[:batch]


def choose_prompts(group: Group, rows: Tensor) -> list[str]:
    """For each row, one of the prompts it may be asked for by, drawn from torch's generator."""
    chosen = torch.rand(len(rows)).tolist()
    names = (group.prompts[row] for row in rows.tolist())
    return [some[int(share * len(some))] for some, share in zip(names, chosen, strict=True)]


def to_levels(image: Image.Image) -> Tensor:
    """(C, H, W), uint8."""
    levels = np.array(image)
    return torch.from_numpy(levels[None] if levels.ndim == 2 else levels.transpose(2, 0, 1).copy())


def to_unit(levels: Tensor) -> Tensor:
    """Levels 0 to 255 as float32 in [-1, 1].  Any shape."""
    return levels.float() / 127.5 - 1
