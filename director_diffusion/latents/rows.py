"""Rows of the latents' table."""

from dataclasses import dataclass
from typing import Literal

from director_diffusion.stills.rows import Split

FILE = "latents.parquet"
ENCODING_VERSION = "1"  # of scaling, cropping and what an item holds; a change encodes every still anew


@dataclass(frozen=True)
class LatentRow:
    """The VAE posterior of one still, in the bucket chosen for it."""

    still: str
    film: str
    split: Split | Literal["prior"]
    width: int  # of the bucket, pixels
    height: int
    cropped: float  # share of the still's area that was cut away
    scale: float  # bucket pixels per still pixel, at most 1
    original_width: int  # of the still, before it was scaled
    original_height: int
    crop_left: int  # of the crop, in pixels of the scaled still
    crop_top: int
    item: str  # name in the item cache
    reference: str  # the store's name of that item: a safetensors file with mean and std, (C, h, w) each
    psnr: float  # dB, of the decoded mean against the encoded pixels
