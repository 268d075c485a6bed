"""Loading: a base's denoiser, frozen, in full or in 4 bits.

Belongs here: what all families load with.
"""

from pathlib import Path
from typing import Literal, TypeVar

import torch
from diffusers import ModelMixin

from director_diffusion.families.quantising import load_nf4

Denoiser = TypeVar("Denoiser", bound=ModelMixin)


def load_frozen(
    kind: type[Denoiser], folder: Path, *, device: str, dtype: torch.dtype, quantised: Literal["nf4"] | None
) -> Denoiser:
    """A denoiser of diffusers, for evaluation and for adapters: none of its own weights learns."""
    if quantised == "nf4":
        return load_nf4(kind, folder, device=device, dtype=dtype).eval().requires_grad_(False)
    denoiser = kind.from_pretrained(folder, dtype=dtype, local_files_only=True, use_safetensors=True)
    return denoiser.to(device).eval().requires_grad_(False)
