"""Flux's way into tensors: pixels to posteriors and back, prompts to embeddings, and what a base's folder must hold.

Belongs here: the VAE, the text encoders and their tokenizers.  The denoiser is `denoising`'s, sampling `drawing`'s.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FluxPipeline
from torch import Tensor
from transformers import CLIPTokenizer, T5TokenizerFast

from director_diffusion.errors import ModelError

_WEIGHTS = {
    "transformer": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
    "text_encoder_2": "model.safetensors",
}
_VOCABULARIES = {
    "tokenizer": (("tokenizer.json",), ("vocab.json", "merges.txt")),
    "tokenizer_2": (("tokenizer.json",), ("spiece.model",)),
}


def check_folder(folder: Path) -> None:
    """Raise ModelError, naming what is missing, unless `folder` holds a whole Flux pipeline in diffusers' layout."""
    check_without_vae(folder)
    _require(folder, "vae", "config.json")
    _require_weights(folder, "vae", "diffusion_pytorch_model.safetensors")


def check_without_vae(folder: Path) -> None:
    """As `check_folder`, whatever the pipeline's VAE."""
    index = read_json(folder, "model_index.json")
    found = index.get("_class_name")
    if found != "FluxPipeline":
        raise ModelError(str(folder), f"holds a {found}, not a FluxPipeline", "Give a base of the family flux.")
    _require(folder, "scheduler", "scheduler_config.json")
    for component, weights in _WEIGHTS.items():
        _require(folder, component, "config.json")
        _require_weights(folder, component, weights)
    for component, vocabularies in _VOCABULARIES.items():
        _require(folder, component, "tokenizer_config.json")
        if not any(all((folder / component / name).is_file() for name in names) for names in vocabularies):
            _missing(folder, component, " or ".join(" and ".join(names) for names in vocabularies))


def latent_factor(folder: Path) -> int:
    """Pixels per latent cell along a side: every level of the VAE but the last halves."""
    return int(2 ** (len(read_json(folder, "vae/config.json")["block_out_channels"]) - 1))


def token_counters(folder: Path) -> dict[str, Callable[[str], int]]:
    """Functions counting a text's tokens, special tokens included, before any truncation: `clip` and `t5`."""
    tokenizers = {
        "clip": CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        "t5": T5TokenizerFast.from_pretrained(folder / "tokenizer_2", local_files_only=True),
    }

    def counter(tokenizer: Any) -> Callable[[str], int]:
        return lambda text: len(tokenizer(text, verbose=False).input_ids)

    return {name: counter(tokenizer) for name, tokenizer in tokenizers.items()}


class FluxCodec:
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


class FluxPromptEncoder:
    """See `families.base.PromptEncoder`: diffusers' own pipeline, loaded without its denoiser and VAE."""

    def __init__(self, folder: Path, *, device: str, dtype: torch.dtype, max_tokens: int):
        self._pipeline = FluxPipeline.from_pretrained(
            folder, transformer=None, vae=None, dtype=dtype, local_files_only=True
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


def _require(folder: Path, component: str, name: str) -> None:
    if not (folder / component / name).is_file():
        _missing(folder, component, name)


def _require_weights(folder: Path, component: str, weights: str) -> None:
    """Weights are one file, or several that an index names."""
    index = f"{weights}.index.json"
    if not (folder / component / index).is_file():
        _require(folder, component, weights)
        return
    for shard in sorted(set(read_json(folder, f"{component}/{index}")["weight_map"].values())):
        _require(folder, component, shard)


def _missing(folder: Path, component: str, name: str) -> None:
    raise ModelError(
        str(folder), f"is not a whole Flux base: {component}/ lacks {name}", "Download or copy that component again."
    )


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a base.  Raises ModelError where it is missing or is none."""
    path = folder / name
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelError(
            str(folder), f"is not a whole Flux base: {name} is missing", "Give a folder in diffusers' layout."
        ) from error
    except ValueError as error:
        raise ModelError(str(path), "is not JSON", "Download or copy it again.") from error
    return dict(content)
