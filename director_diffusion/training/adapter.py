"""Adapter: low-rank weights inside a denoiser, put there by peft.

Belongs here: injection, and the adapter's weights as peft names them.  Which linears it takes is the family's.
"""

from collections.abc import Sequence

import torch
from diffusers import ModelMixin
from diffusers.training_utils import cast_training_params
from peft import LoraConfig, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from director_diffusion.errors import ModelError
from director_diffusion.specs import LoraAdapter

NAME = "default"  # peft's own name of a model's only adapter


def inject_adapter(denoiser: ModelMixin, spec: LoraAdapter, targets: Sequence[str]) -> LoraConfig:
    """Put a new adapter into a frozen denoiser of diffusers: float32, the only weights that learn.

    Starts as nothing (B = 0), with A from torch's generator.  Raises ModelError unless just `targets` carry it.
    """
    denoiser.add_adapter(
        LoraConfig(r=spec.rank, lora_alpha=spec.alpha, lora_dropout=spec.dropout, target_modules=list(targets)), NAME
    )
    cast_training_params(denoiser, torch.float32)
    carrying = {name for name, module in denoiser.named_modules() if isinstance(module, BaseTunerLayer)}
    if astray := carrying.symmetric_difference(targets):
        raise ModelError(
            f"targets {spec.targets!r}",
            f"were not adapted as asked: {len(astray)} linears differ, as {min(astray)!r}",
            "Report this: peft and this project disagree about the names of layers.",
        )
    return denoiser.peft_config[NAME]


def adapter_parameters(denoiser: ModelMixin) -> dict[str, nn.Parameter]:
    """The weights that learn, by name, in the model's order."""
    return {name: parameter for name, parameter in denoiser.named_parameters() if parameter.requires_grad}


def adapter_weights(denoiser: ModelMixin) -> dict[str, Tensor]:
    """The adapter's weights as peft names them in files."""
    return dict(get_peft_model_state_dict(denoiser, adapter_name=NAME))
