"""Pixels: from a still to what the VAE is given, and how far two images are apart."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from director_diffusion.latents.buckets import Fit
from director_diffusion.stills.rows import Still

PREVIEW_SIDE = 320  # pixels, the longer side at most
MAX_PSNR = 100.0  # dB, where nothing differs


class KeptStills(Protocol):
    """What is needed of a `stills.still_set.StillSet`."""

    @property
    def kept(self) -> Sequence[Still]: ...

    def open(self, still: Still) -> Image.Image:
        """Upright RGB pixels, cropped."""


def scaled(image: Image.Image, fit: Fit) -> Image.Image:
    """A still, scaled and cropped to its bucket."""
    size = (fit.bucket.width, fit.bucket.height)
    return image.resize(size, Image.Resampling.LANCZOS, box=fit.box, reducing_gap=3.0)


def to_tensor(image: Image.Image) -> Tensor:
    """RGB → (3, H, W) in [-1, 1], float32."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def to_image(pixels: Tensor) -> Image.Image:
    """(3, H, W) in [-1, 1] → RGB; a NaN becomes grey."""
    return Image.fromarray(((pixels.nan_to_num() + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())


def shrunk(image: Image.Image) -> Image.Image:
    """At most PREVIEW_SIDE pixels wide and high."""
    small = image.copy()
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
    return small


def psnr(pixels: Tensor, decoded: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of two images in [-1, 1]; NaN where either holds a NaN."""
    error = torch.mean(((pixels - decoded) / 2).double() ** 2).clamp_min(10 ** (-MAX_PSNR / 10))
    return float(-10 * torch.log10(error))
