"""Stacking: several adapters in one denoiser, whose ΔW add up.

Belongs here: loading files one on top of the other.  Loading one is `files`'.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diffusers import ModelMixin
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.variants import DoraLinearVariant
from torch import Tensor

from director_diffusion.adapters.files import kind_of, load_adapter


def load_stack(denoiser: ModelMixin, paths: Sequence[Path], strengths: Sequence[float] | None = None) -> None:
    """Load several files one on top of the other: ΔW adds up, each times its strength (as `scaled_weights` has it).

    LoKr lies below LoRA.  What the denoiser wears already stays on.  peft by itself adds up all but a DoRA above
    others, whose magnitudes scale their ΔW too; here they scale W and its own, whatever lies below.
    """
    worn = dict.fromkeys(getattr(denoiser, "peft_config", {}), 1.0)
    strength = dict(zip(paths, strengths or [1.0] * len(paths), strict=True))
    kinds = {path: kind_of(path) for path in paths}
    names = {path: f"layer_{place}" for place, path in enumerate(paths) if kinds[path] == "lora"}
    with beside_others():
        for path, name in names.items():
            load_adapter(denoiser, path, name=name)
    worn |= {name: strength[path] for path, name in names.items()}
    if len(worn) > 1 or any(one != 1 for one in worn.values()):
        denoiser.set_adapters(list(worn), list(worn.values()))
    for path in paths:
        if path not in names:
            load_adapter(denoiser, path, strength=strength[path])
    for layer in denoiser.modules():
        if isinstance(layer, LoraLayer):
            layer.lora_variant |= {
                name: _Dora() for name, variant in layer.lora_variant.items() if type(variant) is DoraLinearVariant
            }


@contextmanager
def beside_others() -> Iterator[None]:
    """Without peft's warning that a model has an adapter already."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")
        yield


class _Dora(DoraLinearVariant):
    """peft's DoRA (Liu et al. 2024), but above others its magnitudes scale W x, not what the others made of it."""

    @staticmethod
    def forward(module: Any, active_adapter: str, x: Tensor, result: Tensor, **kwargs: Any) -> Tensor:
        """`result` (…, out), of W and what lies below, with ΔW x added."""
        base = module.get_base_layer()  # W itself, below a LoKr too
        if module.active_adapters[0] == active_adapter and module.base_layer is base:
            return DoraLinearVariant.forward(module, active_adapter, x, result, **kwargs)
        return result + module.lora_magnitude_vector[active_adapter](
            x,
            lora_A=module.lora_A[active_adapter],
            lora_B=module.lora_B[active_adapter],
            scaling=module.scaling[active_adapter],
            base_layer=base,
            base_result=base(x),
            adapter_name=active_adapter,
        )
