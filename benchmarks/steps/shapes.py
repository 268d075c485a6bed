"""Shapes: the denoisers that are measured, at random weights: speed does not depend on them.

Belongs here: configurations of published models and of the mini one, creation on the device, and data of their sizes.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxTransformer2DModel, ModelMixin, UNet2DConditionModel
from torch import Tensor

from director_diffusion.families.loading import load_frozen
from director_diffusion.training.data import Dataset, Sample

# stabilityai/stable-diffusion-xl-base-1.0, unet/config.json
SDXL_UNET: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
FLUX: dict[str, Any] = {"guidance_embeds": True}  # FLUX.1 [dev]'s other sizes are the class's defaults
MINI = Path(__file__).parents[2] / "models" / "mini" / "base" / "transformer" / "config.json"


@dataclass(frozen=True)
class Shape:
    """A model as far as speed is concerned."""

    family: str
    kind: type[ModelMixin]
    config: dict[str, Any]
    channels: int  # of a latent
    conditions: dict[str, tuple[int, ...]]  # of one sample
    cell: int = 8  # pixels along a side of a latent's cell

    def on_meta(self, dtype: torch.dtype) -> ModelMixin:
        """Without weights."""
        with torch.device("meta"):
            return self.kind(**self.config).to(dtype).requires_grad_(False)

    def denoiser(self, *, device: str, dtype: torch.dtype, quantised: str | None) -> ModelMixin:
        """At random weights, created on the device; in 4 bits, saved first, then loaded as a training loads it."""
        if quantised is None:
            return self._random(device, dtype).eval().requires_grad_(False)
        with tempfile.TemporaryDirectory(prefix="director-bench-") as folder:
            model = self._random(device, dtype)
            model.save_pretrained(folder, max_shard_size="4GB")
            del model
            if device == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            return load_frozen(self.kind, Path(folder), device=device, dtype=dtype, quantised="nf4")

    def _random(self, device: str, dtype: torch.dtype) -> ModelMixin:
        usual = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            with torch.device(device):
                return self.kind(**self.config)
        finally:
            torch.set_default_dtype(usual)

    def dataset(self, side: int, stills: int = 8) -> Dataset:
        """Random posteriors and embeddings of square stills."""
        rng = torch.Generator().manual_seed(0)

        def conditions() -> dict[str, Tensor]:
            return {name: torch.randn(shape, generator=rng) for name, shape in self.conditions.items()}

        def sample(number: int) -> Sample:
            mean = torch.randn(self.channels, side // self.cell, side // self.cell, generator=rng)
            sizes = {"time_ids": torch.tensor([side, side, 0, 0, side, side]).float()} if self.family == "sdxl" else {}
            return Sample(f"still{number}", mean, torch.full_like(mean, 0.01), conditions(), sizes)

        return Dataset(tuple(sample(number) for number in range(stills)), (sample(stills),), conditions())


SHAPES = {
    "flux": Shape(
        "flux", FluxTransformer2DModel, FLUX, 16, {"prompt_embeds": (512, 4096), "pooled_prompt_embeds": (768,)}
    ),
    "sdxl": Shape(
        "sdxl", UNet2DConditionModel, SDXL_UNET, 4, {"prompt_embeds": (77, 2048), "pooled_prompt_embeds": (1280,)}
    ),
    "mini": Shape(
        "flux",
        FluxTransformer2DModel,
        {name: value for name, value in json.loads(MINI.read_text()).items() if not name.startswith("_")},
        8,
        {"prompt_embeds": (32, 96), "pooled_prompt_embeds": (64,)},
        cell=4,
    ),
}
