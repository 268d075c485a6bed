"""Drawing pixels: diffusers' own Flux pipeline, given packed noise and asked for packed pixels.

Belongs here: packing on the way in, unpacking on the way out.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from director_diffusion.families.flux.drawing import FluxPainter
from director_diffusion.families.flux.packing import pack, unpack


class FluxPixelPainter(FluxPainter):
    """`families.base.Painter` over a FluxPipeline without a VAE."""

    @property
    def _multiple(self) -> int:
        return int(self._pipeline.transformer.config.patch_size)

    def _levels(
        self, prompts: list[str], generators: list[torch.Generator], *, width: int, height: int, **settings: Any
    ) -> NDArray[np.floating[Any]]:
        side, channels = self._multiple, self._pipeline.transformer.config.out_channels
        noise = torch.stack([torch.randn(channels, height, width, generator=generator) for generator in generators])
        # The pipeline counts the rows and columns of its tokens by the size of a VAE's that it would have.
        token = 2 * int(self._pipeline.vae_scale_factor)
        tokens = self._pipeline(
            prompts,
            width=width // side * token,
            height=height // side * token,
            latents=pack(noise, side),
            output_type="latent",
            max_sequence_length=self._max_tokens,
            **settings,
        ).images
        pixels = unpack(tokens.float(), side, height=height, width=width).clamp(-1, 1).expand(-1, 3, -1, -1)
        levels: NDArray[np.floating[Any]] = ((pixels + 1) / 2).permute(0, 2, 3, 1).cpu().numpy()
        return levels
