"""Codecs: diffusers' AutoencoderKL, as the families that have one use it.

Belongs here: pixels to posteriors and back.  How latents are scaled for a denoiser, each family says.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from director_diffusion.families.folders import read_json


class VaeCodec:
    """See `families.base.ImageCodec`.  Results are on the codec's device.

    It works in float32, whatever the denoiser's dtype: SDXL's VAE leaves half precision's range, all of them are small,
    and latents are made once.
    """

    def __init__(self, folder: Path, *, device: str):
        vae = AutoencoderKL.from_pretrained(
            folder / "vae", dtype=torch.float32, local_files_only=True, use_safetensors=True
        )
        self._vae, self._device = vae.to(device).eval(), device

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, H, W) in [-1, 1] → the posterior's mean and std, each (B, C, h, w), float32."""
        posterior = self._vae.encode(pixels.to(self._device, torch.float32)).latent_dist
        return posterior.mean, torch.exp(0.5 * posterior.logvar)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) → pixels (B, 3, H, W), clipped to [-1, 1], float32."""
        return self._vae.decode(latents.to(self._device, torch.float32)).sample.clamp(-1, 1)


def vae_factor(folder: Path) -> int:
    """Pixels per latent cell along a side: every level of the VAE but the last halves."""
    return int(2 ** (len(read_json(folder, "vae/config.json")["block_out_channels"]) - 1))
