"""Prompts to embeddings by CLIP alone, and what a base's folder must hold.

Belongs here: the text encoders and their tokenizers.  The UNet is `denoising`'s, sampling `drawing`'s.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from director_diffusion.errors import ModelError
from director_diffusion.families.folders import (
    CLIP_VOCABULARY,
    TEXT_WEIGHTS,
    WEIGHTS,
    check_pipeline,
    read_json,
    token_counter,
)
from director_diffusion.families.unet.layout import Layout

CLIP_TOKENS = 77
"""All that CLIP reads, and what every prompt is padded to."""


def check_folder(folder: Path, layout: Layout) -> None:
    """Raise ModelError, naming what is missing or other, unless `folder` holds a whole base of the layout."""
    check_pipeline(
        folder,
        family=layout.family,
        pipeline=layout.pipeline.__name__,
        weights={"unet": WEIGHTS, "vae": WEIGHTS, **dict.fromkeys(layout.text_encoders, TEXT_WEIGHTS)},
        vocabularies=dict.fromkeys(layout.tokenizers, CLIP_VOCABULARY),
    )
    config = read_json(folder, "unet/config.json")
    expected = {
        "in_channels": read_json(folder, "vae/config.json")["latent_channels"],  # those that inpaint have more
        "addition_embed_type": layout.sizes,
        "class_embed_type": None,
        "time_cond_proj_dim": None,  # those that were distilled with their guidance have one
    }
    for name, value in expected.items():
        if config.get(name) != value:
            raise ModelError(
                str(folder),
                f"holds another kind of UNet: its {name} is {config.get(name)!r}, not {value!r}",
                f"Give a base of the family {layout.family} that draws pictures from prompts.",
            )


def token_counters(folder: Path, layout: Layout) -> dict[str, Callable[[str], int]]:
    """Functions counting a text's tokens, special tokens included, before any truncation: `clip`, and `clip_2`."""
    return {
        name.replace("tokenizer", "clip"): token_counter(
            CLIPTokenizer.from_pretrained(folder / name, local_files_only=True)
        )
        for name in layout.tokenizers
    }


def embed(pipeline: Any, prompts: Sequence[str]) -> dict[str, Tensor]:
    """`prompt_embeds` (B, 77, D) and, of SDXL, `pooled_prompt_embeds` (B, P), by the pipeline's own encoders.

    The empty prompt is what the pipeline guides against: zeros, where its configuration says so.
    """
    embeds, _, *pooled = pipeline.encode_prompt(
        list(prompts), device=pipeline.device, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    embedded = {"prompt_embeds": embeds}
    if pooled:
        embedded["pooled_prompt_embeds"] = pooled[0]
    if pipeline.config.get("force_zeros_for_empty_prompt", False):
        empty = torch.tensor([prompt == "" for prompt in prompts], device=embeds.device)
        embedded = {
            name: value.masked_fill(empty.view(-1, *(1,) * (value.ndim - 1)), 0) for name, value in embedded.items()
        }
    return embedded


class ClipPromptEncoder:
    """See `families.base.PromptEncoder`: diffusers' own pipeline, loaded without its UNet and VAE."""

    def __init__(self, folder: Path, layout: Layout, *, device: str, dtype: torch.dtype, max_tokens: int):
        check_tokens(layout.family, max_tokens)
        self._pipeline: Any = layout.pipeline.from_pretrained(
            folder, unet=None, vae=None, dtype=dtype, local_files_only=True, use_safetensors=True, **layout.extras
        ).to(device)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> list[dict[str, Tensor]]:
        """Per prompt what `embed` gives, as the encoders computed it, on the CPU."""
        embedded = embed(self._pipeline, prompts)
        return [{name: value[i].cpu().clone() for name, value in embedded.items()} for i in range(len(prompts))]


def check_tokens(family: str, max_tokens: int) -> None:
    """Raise ModelError where prompts may be longer than CLIP reads."""
    if max_tokens > CLIP_TOKENS:
        raise ModelError(
            f"max_prompt_tokens {max_tokens}",
            f"is more than bases of the family {family} read: CLIP stops at {CLIP_TOKENS}",
            f"Set max_prompt_tokens to {CLIP_TOKENS} in the base's file.",
        )
