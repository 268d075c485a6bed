"""Contrast: vectors of what belongs together are drawn together, and others apart.

Belongs here: that loss, and a picture of how far it came.
"""

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import to_pil_image

_CELL = 4  # pixels


def contrast(rows: Tensor, columns: Tensor, same: Tensor, scale: Tensor | float) -> Tensor:
    """Cross-entropy of finding each row's columns, and each column's rows, among all by `scale` times the cosine.

    `rows` and `columns` (N, dimensions) have length 1; `same` (N, N) says which belong together, all of them right.
    """
    with torch.autocast(rows.device.type, enabled=False):  # half precision cannot tell near cosines apart
        logits = scale * rows.float() @ columns.float().T
    right = same.float()
    down, across = right / right.sum(0), right / right.sum(1, keepdim=True)
    return (F.cross_entropy(logits, across) + F.cross_entropy(logits.T, down.T)) / 2


def cosine_picture(rows: Tensor, columns: Tensor) -> Image.Image:
    """Cosines of vectors of length 1, 0 black and 1 white: right where the diagonal is bright."""
    cosines = (rows @ columns.T).float().clamp(0, 1).cpu()
    height, width = cosines.shape
    return to_pil_image(cosines).resize((_CELL * width, _CELL * height), Image.Resampling.NEAREST)
