"""Drawing with a UNet: diffusers' own pipelines, as users of an adapter would run them.

Belongs here: sampling.  Encoding for the caches lives in `encoding`, training in `denoising`.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import torch
from diffusers import DDIMScheduler, DiffusionPipeline, EulerDiscreteScheduler, LCMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from director_diffusion.errors import ModelError
from director_diffusion.families.base import Sketch
from director_diffusion.families.painting import (
    PipelinePainter,
    check_classifier_free,
    check_size,
    generators_of,
    given,
    sketching,
)
from director_diffusion.families.unet.encoding import check_tokens
from director_diffusion.families.unet.layout import Layout
from director_diffusion.specs import FewStepScheduler


class UnetPainter(PipelinePainter):
    """`families.base.Painter` with classifier-free guidance against what the pipeline takes for the empty prompt."""

    role = "unet"
    # LCMScheduler's own timesteps are trailing ones, whatever it is told: those that students learned at.
    schedulers: Mapping[FewStepScheduler, Any] = MappingProxyType(
        {"lcm": LCMScheduler, "euler": EulerDiscreteScheduler, "ddim": DDIMScheduler}
    )

    def __init__(self, pipeline: DiffusionPipeline, layout: Layout, *, name: str, guidance_kind: str, max_tokens: int):
        """`name` is what errors call the pipeline; every prompt is padded to what CLIP reads."""
        check_guidance(name, guidance_kind)
        check_tokens(layout.family, max_tokens)
        super().__init__(pipeline)

    @classmethod
    def load(
        cls,
        folder: Path,
        layout: Layout,
        *,
        device: str,
        dtype: torch.dtype,
        guidance_kind: str,
        max_tokens: int,
    ) -> Self:
        """The pipeline of a folder in diffusers' layout."""
        pipeline = layout.pipeline.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, **layout.extras
        )
        return cls(pipeline.to(device), layout, name=str(folder), guidance_kind=guidance_kind, max_tokens=max_tokens)

    @property
    def _multiple(self) -> int:
        return multiple(self._denoiser, int(self._pipeline.vae_scale_factor))

    def _guidance(self, guidance: float, images: int) -> dict[str, object]:
        check_classifier_free(guidance)
        return {"guidance_scale": guidance}


def check_guidance(name: str, guidance_kind: str) -> None:
    """Raise ModelError for guidance that these bases were not made with."""
    if guidance_kind != "classifier_free":
        raise ModelError(
            name, f"does not take {guidance_kind} guidance", "Set guidance.kind to classifier_free in the base's file."
        )


def multiple(unet: UNet2DConditionModel, factor: int) -> int:
    """Pixels that both sides of a picture are multiples of, where a latent cell is `factor` pixels wide.

    Every level of the UNet but the last halves; whatever that comes to, diffusers' pipelines ask for multiples of 8.
    """
    return math.lcm(factor * 2 ** (len(unet.config.block_out_channels) - 1), 8)


def sketch(folder: Path, layout: Layout, denoiser: nn.Module, asked: Sketch, *, factor: int) -> Tensor:
    """What the denoiser works on, (B, C, h, w), float32, as the pipeline draws it; see `families.base.Family`.

    A latent cell is `factor` pixels wide.
    """
    check_guidance(str(folder), asked.guidance_kind)
    check_classifier_free(asked.guidance)
    check_size(asked.width, asked.height, multiple(denoiser, factor))
    nothing = dict.fromkeys(("vae", *layout.text_encoders, *layout.tokenizers))
    pipeline: Any = layout.pipeline.from_pretrained(
        folder, unet=denoiser, local_files_only=True, use_safetensors=True, **nothing, **layout.extras
    )
    pipeline.vae_scale_factor = factor  # without a VAE it takes it to be 8
    with sketching(pipeline, UnetPainter.role):
        drawn: Tensor = pipeline(
            **given(asked.conditions, denoiser),
            **given(asked.empty, denoiser, "negative_"),
            width=asked.width,
            height=asked.height,
            generator=generators_of(asked.seeds),
            output_type="latent",
            num_inference_steps=asked.steps,
            guidance_scale=asked.guidance,
        ).images
    return drawn.float()
