"""Quantising: a denoiser whose blocks' linears are held in 4 bits.

Belongs here: loading one.  diffusers' own way there wants a GPU; this one is the same on every device, and reads one
tensor at a time, so that the whole never lies in memory.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import init_empty_weights
from accelerate.utils import set_module_tensor_to_device
from diffusers import ModelMixin
from safetensors import safe_open
from torch import Tensor, nn

from director_diffusion.errors import ModelError
from director_diffusion.families.folders import weight_files
from director_diffusion.packages import require_bitsandbytes

Denoiser = TypeVar("Denoiser", bound=ModelMixin)

BLOCK = 64  # weights that share a scale


def load_nf4(kind: type[Denoiser], folder: Path, *, device: str, dtype: torch.dtype) -> Denoiser:
    """A denoiser with the linears of its repeated blocks in NF4 (Dettmers et al. 2023), all else in `dtype`.

    Products are computed in `dtype`; the blocks' scales are quantised too (double quantisation).  Raises ModelError
    where its files lack weights.
    """
    require_bitsandbytes("quantised_base: nf4")
    from bitsandbytes.nn import Linear4bit, Params4bit

    with init_empty_weights():
        denoiser = kind.from_config(kind.load_config(folder, local_files_only=True))
    settings: dict[str, Any] = {"quant_type": "nf4", "compress_statistics": True}
    for name in _linears_of_blocks(denoiser):
        old = denoiser.get_submodule(name)
        parent, _, child = name.rpartition(".")
        with init_empty_weights():
            new = Linear4bit(
                old.in_features, old.out_features, bias=old.bias is not None, compute_dtype=dtype, **settings
            )
        new.support_avx512bf16_for_cpu = False  # else some CPUs lay the weights out anew, once, for good, while judging
        setattr(denoiser.get_submodule(parent), child, new)
    for name, tensor in _stored(weight_files(folder.parent, folder.name)):
        parent, _, child = name.rpartition(".")
        module = denoiser.get_submodule(parent)
        if isinstance(module, Linear4bit) and child == "weight":
            weight = Params4bit(tensor.to(dtype), requires_grad=False, module=module, **settings)
            module.weight = weight.to(device)  # which quantises it
        else:
            set_module_tensor_to_device(denoiser, name, device, value=tensor, dtype=dtype)
    if lacking := [name for name, parameter in denoiser.named_parameters() if parameter.is_meta]:
        raise ModelError(
            str(folder), f"lacks {len(lacking)} of its weights, as {lacking[0]!r}", "Download or copy it again."
        )
    denoiser.is_loaded_in_4bit = True  # peft asks for it
    return denoiser


def _linears_of_blocks(denoiser: ModelMixin) -> list[str]:
    """The linears inside the repeated blocks whose rows are whole blocks of NF4.

    Those outside are few, and see what goes in and comes out.  Of other rows, bitsandbytes (0.50) gives wrong weights
    back on a CPU; published models have none.
    """
    blocks = [name for name, module in denoiser.named_modules() if type(module).__name__ in denoiser._repeated_blocks]
    return [
        name
        for name, module in denoiser.named_modules()
        if isinstance(module, nn.Linear)
        and module.in_features % BLOCK == 0
        and any(name.startswith(f"{block}.") for block in blocks)
    ]


def _stored(shards: Sequence[Path]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a denoiser's files, one after the other."""
    for shard in shards:
        with safe_open(shard, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 — no mapping
                yield name, file.get_tensor(name)
