"""Pixels as their own latents.

Belongs here: going between the stages' three channels and a base's one or three.
"""

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's mode L, which grey bases are trained on


class PixelCodec:
    """See `families.base.ImageCodec`: the mean is the pixels, and certain.  Results are on the codec's device."""

    def __init__(self, channels: int, *, device: str):
        self._channels, self._device = channels, device

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) in [-1, 1] → the same, or their grey, (B, C, H, W), and zeros."""
        mean = pixels.to(self._device, torch.float32)
        if self._channels == 1:
            mean = torch.einsum("c,bchw->bhw", torch.tensor(LUMA, device=mean.device), mean)[:, None]
        return mean, torch.zeros_like(mean)

    def decode(self, latents: Tensor) -> Tensor:
        """Pixels of one or three channels → pixels (B, 3, H, W), clipped to [-1, 1], float32."""
        return latents.to(self._device, torch.float32).clamp(-1, 1).expand(-1, 3, -1, -1)
