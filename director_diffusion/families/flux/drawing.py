"""Drawing with Flux: diffusers' own pipeline, as users of an adapter would run it.

Belongs here: sampling.  Encoding for the caches lives in `encoding`, training in `denoising`.
"""

from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from numpy.typing import NDArray
from torch import Tensor, nn

from director_diffusion.errors import ModelError
from director_diffusion.families.base import Sketch
from director_diffusion.families.flux.denoising import latent_channels
from director_diffusion.families.flux.packing import pack, unpack
from director_diffusion.families.painting import (
    PipelinePainter,
    check_classifier_free,
    check_size,
    floating_dtype,
    generators_of,
    given,
    sketching,
)

_NOTHING_ELSE = dict.fromkeys(("vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))


class FluxPainter(PipelinePainter):
    """`families.base.Painter` over FluxPipeline.

    Guidance is either the embedded input that the base was distilled with, or classifier-free (Ho and Salimans 2022)
    against the empty prompt; which one is a property of the checkpoint, so a spec that says otherwise is refused.
    """

    role = "transformer"

    def __init__(self, pipeline: FluxPipeline, *, name: str, guidance_kind: str, max_tokens: int):
        """`name` is what errors call the pipeline.

        `max_tokens`: T5 tokens that prompts are padded to, as in training, since Flux attends to the padding.
        """
        super().__init__(pipeline)
        self._max_tokens = max_tokens
        self._embedded = takes_embedded(pipeline.transformer, name=name, guidance_kind=guidance_kind)

    @classmethod
    def load(
        cls, folder: Path, *, device: str, dtype: torch.dtype, guidance_kind: str, max_tokens: int, **components: Any
    ) -> Self:
        """The pipeline of a folder in diffusers' layout, with `components` in place of its own."""
        pipeline = FluxPipeline.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, **components
        ).to(device)
        return cls(pipeline, name=str(folder), guidance_kind=guidance_kind, max_tokens=max_tokens)

    @property
    def _multiple(self) -> int:
        """Pixels along a side of one token."""
        return 2 * int(self._pipeline.vae_scale_factor)

    def _guidance(self, guidance: float, images: int) -> dict[str, object]:
        return _guidance(guidance, self._embedded, {"negative_prompt": [""] * images})

    def _levels(
        self, prompts: list[str], generators: list[torch.Generator], *, width: int, height: int, **settings: Any
    ) -> NDArray[np.floating[Any]]:
        return super()._levels(
            prompts, generators, width=width, height=height, max_sequence_length=self._max_tokens, **settings
        )


def takes_embedded(transformer: nn.Module, *, name: str, guidance_kind: str) -> bool:
    """Whether a transformer takes guidance as an input.  Raises ModelError unless its spec says so too."""
    embedded = bool(cast(FluxTransformer2DModel, transformer).config.guidance_embeds)
    if embedded != (guidance_kind == "embedded"):
        raise ModelError(
            name,
            f"{'takes' if embedded else 'does not take'} embedded guidance, but its spec says {guidance_kind}",
            f"Set guidance.kind to {'embedded' if embedded else 'classifier_free'}.",
        )
    return embedded


def sketch(folder: Path, denoiser: nn.Module, asked: Sketch, *, factor: int, side: int) -> Tensor:
    """What the denoiser works on, (B, C, h, w), float32, as diffusers' pipeline draws it; see `families.base.Family`.

    A latent cell is `factor` pixels wide, a token is a square of `side` cells.
    """
    check_size(asked.width, asked.height, factor * side)
    embedded = takes_embedded(denoiser, name=str(folder), guidance_kind=asked.guidance_kind)
    channels = latent_channels(denoiser, side=side)
    height, width, dtype = asked.height // factor, asked.width // factor, floating_dtype(denoiser)
    generators = generators_of(asked.seeds)
    noise = torch.stack([torch.randn(channels, height, width, generator=one, dtype=dtype) for one in generators])
    pipeline = FluxPipeline.from_pretrained(
        folder, transformer=denoiser, local_files_only=True, use_safetensors=True, **_NOTHING_ELSE
    )
    # The pipeline counts the rows and columns of its tokens by the size of a VAE's that it would have.
    token = 2 * int(pipeline.vae_scale_factor)
    with sketching(pipeline, FluxPainter.role):
        tokens = pipeline(
            **given(asked.conditions, denoiser),
            width=width // side * token,
            height=height // side * token,
            latents=pack(noise, side),
            output_type="latent",
            num_inference_steps=asked.steps,
            **_guidance(asked.guidance, embedded, given(asked.empty, denoiser, "negative_")),
        ).images
    return unpack(tokens.float(), side, height=height, width=width)


def _guidance(guidance: float, embedded: bool, against: dict[str, Any]) -> dict[str, object]:
    if embedded:
        return {"guidance_scale": guidance}
    check_classifier_free(guidance)
    return {"true_cfg_scale": guidance, **against}
