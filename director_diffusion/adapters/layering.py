"""Layering: an adapter that learns on top of one that does not.

Belongs here: putting both into a denoiser, each as people will wear it, and switching the upper one.  The lower one is
not merged into the base: in bfloat16 that rounds W + ΔW, and what was learned on top would be of another adapter.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from diffusers import ModelMixin
from peft.tuners.lora import LoraLayer

from director_diffusion.adapters.files import check_fit, kind_of, load_adapter
from director_diffusion.adapters.injection import NAME, inject_adapter
from director_diffusion.adapters.stacking import beside_others
from director_diffusion.specs import LoraAdapter

BELOW = "below"


def inject_on(denoiser: ModelMixin, below: Path, spec: LoraAdapter, targets: Sequence[str], *, role: str) -> None:
    """Put a new LoRA on top of the adapter in the file `below`; only the new one learns.

    They lie as `stacking.load_stack` lays them: its ΔW adds to whatever lies below.  peft's DoRA would scale that, so
    none learns here (`specs.turbo` refuses it).  Raises ModelError for a file that does not fit.
    """
    check_fit(below, denoiser, role)
    if kind_of(below) == "lora":
        load_adapter(denoiser, below, name=BELOW)
        denoiser.requires_grad_(False)
        with beside_others():
            inject_adapter(denoiser, spec, targets)
    else:
        inject_adapter(denoiser, spec, targets)
        load_adapter(denoiser, below)
    wear_upper(denoiser, True)


def wear_upper(denoiser: ModelMixin, worn: bool) -> None:
    """Switch the LoRA that learns on or off; the lower one stays on, and never learns."""
    for layer in _lora_layers(denoiser):
        names = [name for name in layer.lora_A if worn or name != NAME]
        layer.set_adapter(names, inference_mode=True)
        if worn and NAME in layer.lora_A:
            for factors in (layer.lora_A, layer.lora_B):
                factors[NAME].requires_grad_(True)


def _lora_layers(denoiser: ModelMixin) -> Iterator[LoraLayer]:
    return (module for module in denoiser.modules() if isinstance(module, LoraLayer))
