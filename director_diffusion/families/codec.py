"""Codecs: diffusers' AutoencoderKL, as the families that have one use it.

Belongs here: pixels to posteriors and back.  How latents are scaled for a denoiser, each family says.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from director_diffusion.families.folders import read_json


class VaeCodec:
    """See `families.base.ImageCodec`.  Results are on the codec's device."""

    def __init__(self, folder: Path, *, device: str, dtype: torch.dtype):
        self._vae = AutoencoderKL.from_pretrained(folder / "vae", dtype=dtype, local_files_only=True).to(device).eval()
        self._device, self._dtype = device, dtype

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) in [-1, 1] → the posterior's mean and std, each (B, C, h, w), float32."""
        posterior = self._vae.encode(pixels.to(self._device, self._dtype)).latent_dist
        return posterior.mean.float(), torch.exp(0.5 * posterior.logvar.float())

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) → pixels (B, 3, H, W), clipped to [-1, 1], float32."""
        return self._vae.decode(latents.to(self._device, self._dtype)).sample.float().clamp(-1, 1)


def vae_factor(folder: Path) -> int:
    """Pixels per latent cell along a side: every level of the VAE but the last halves."""
    return int(2 ** (len(read_json(folder, "vae/config.json")["block_out_channels"]) - 1))
