"""Flux's way into tensors: prompts to embeddings, and what a base's folder must hold.

Belongs here: the text encoders and their tokenizers.  The denoiser is `denoising`'s, sampling `drawing`'s.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import FluxPipeline
from torch import Tensor
from transformers import CLIPTokenizer, T5TokenizerFast

from director_diffusion.families.folders import (
    CLIP_VOCABULARY,
    T5_VOCABULARY,
    TEXT_WEIGHTS,
    WEIGHTS,
    check_pipeline,
    token_counter,
)

_PARTS = {"transformer": WEIGHTS, "text_encoder": TEXT_WEIGHTS, "text_encoder_2": TEXT_WEIGHTS}


def check_folder(folder: Path, *, vae: bool = True) -> None:
    """Raise ModelError, naming what is missing, unless `folder` holds a whole Flux pipeline in diffusers' layout.

    `vae` says whether it must hold one.
    """
    check_pipeline(
        folder,
        family="flux",
        pipeline="FluxPipeline",
        weights={**_PARTS, "vae": WEIGHTS} if vae else _PARTS,
        vocabularies={"tokenizer": CLIP_VOCABULARY, "tokenizer_2": T5_VOCABULARY},
    )


def token_counters(folder: Path) -> dict[str, Callable[[str], int]]:
    """Functions counting a text's tokens, special tokens included, before any truncation: `clip` and `t5`."""
    return {
        "clip": token_counter(CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)),
        "t5": token_counter(T5TokenizerFast.from_pretrained(folder / "tokenizer_2", local_files_only=True)),
    }


class FluxPromptEncoder:
    """See `families.base.PromptEncoder`: diffusers' own pipeline, loaded without its denoiser and VAE."""

    def __init__(self, folder: Path, *, device: str, dtype: torch.dtype, max_tokens: int):
        self._pipeline = FluxPipeline.from_pretrained(
            folder, transformer=None, vae=None, dtype=dtype, local_files_only=True, use_safetensors=True
        ).to(device)
        self._device, self._max_tokens = device, max_tokens

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> list[dict[str, Tensor]]:
        """Per prompt: `prompt_embeds` (L, D) by T5 and `pooled_prompt_embeds` (P,) by CLIP, as the encoders computed
        them, on the CPU.  L is always `max_tokens`: Flux attends to the padding too."""
        embeds, pooled, _ = self._pipeline.encode_prompt(
            list(prompts), device=torch.device(self._device), max_sequence_length=self._max_tokens
        )
        return [
            {"prompt_embeds": embeds[i].cpu().clone(), "pooled_prompt_embeds": pooled[i].cpu().clone()}
            for i in range(len(prompts))
        ]
