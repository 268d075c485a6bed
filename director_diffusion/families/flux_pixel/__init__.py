"""Flux on pixels: the Flux transformer with no VAE, for small pictures.

Belongs here: what differs from `families.flux`, which all else is taken from.  The transformer's own configuration says
how it sees pixels: a token is a square of `patch_size` pixels of `out_channels` channels (1 grey, 3 colour).
"""

from pathlib import Path
from typing import Any, cast

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor, nn

from director_diffusion.errors import ModelError
from director_diffusion.families.attention import plain_products_of_few
from director_diffusion.families.base import Conditions, LatentScale
from director_diffusion.families.flux import FluxFamily, denoising, encoding
from director_diffusion.families.flux_pixel import usage
from director_diffusion.families.flux_pixel.codec import PixelCodec
from director_diffusion.families.flux_pixel.drawing import FluxPixelPainter
from director_diffusion.families.folders import read_json
from director_diffusion.families.usage import Example
from director_diffusion.processes import Process


class FluxPixelFamily(FluxFamily):
    """See `families.base.Family` for what each method promises.  A latent cell is a pixel."""

    name = "flux_pixel"

    def check_folder(self, folder: Path) -> None:
        encoding.check_folder(folder, vae=False)
        config = _config(folder)
        patch, channels = config["patch_size"], config["out_channels"]
        if channels not in (1, 3) or config["in_channels"] != channels * patch**2:
            raise ModelError(
                str(folder),
                f"does not work on pixels: tokens of {config['in_channels']} numbers are no squares of "
                f"{patch} × {patch} pixels of {channels} channels",
                "Give a base of the family flux_pixel, or mend `family` in its spec.",
            )

    def latent_factor(self, folder: Path) -> int:
        return 1

    def load_codec(self, folder: Path, *, device: str) -> PixelCodec:  # type: ignore[override]
        return PixelCodec(_config(folder)["out_channels"], device=device)

    def load_painter(
        self, folder: Path, *, device: str, dtype: torch.dtype, guidance_kind: str, max_tokens: int
    ) -> FluxPixelPainter:
        return FluxPixelPainter.load(
            folder, device=device, dtype=dtype, guidance_kind=guidance_kind, max_tokens=max_tokens, vae=None
        )

    def painter_of(self, pipeline: Any, *, guidance_kind: str, max_tokens: int) -> FluxPixelPainter:
        return FluxPixelPainter(pipeline, name="this pipeline", guidance_kind=guidance_kind, max_tokens=max_tokens)

    def latent_scale(self, folder: Path) -> LatentScale:
        return LatentScale(0.0, 1.0)

    def latent_channels(self, denoiser: nn.Module) -> int:
        return denoising.latent_channels(denoiser, side=cast(FluxTransformer2DModel, denoiser).config.patch_size)

    def process(self, folder: Path) -> Process:
        return denoising.process(folder, side=self.token_side(folder))

    def token_side(self, folder: Path) -> int:
        return int(_config(folder)["patch_size"])

    def predict(self, denoiser: nn.Module, noisy: Tensor, t: Tensor, conditions: Conditions, guidance: float) -> Tensor:
        side = cast(FluxTransformer2DModel, denoiser).config.patch_size
        with plain_products_of_few(noisy.shape[-2] * noisy.shape[-1] // side**2, noisy.device):
            return denoising.predict(denoiser, noisy, t, conditions, guidance, side=side)

    def usage(self, example: Example) -> str:
        return usage.usage(example)


def _config(folder: Path) -> dict[str, Any]:
    return read_json(folder, "transformer/config.json")
