"""Injection: a new adapter inside a denoiser.

Belongs here: putting one there, what of the denoiser learns, and the adapter's weights as files name them.  Which
linears it takes is the family's.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import torch
from diffusers import ModelMixin
from diffusers.training_utils import cast_training_params
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from director_diffusion.adapters.lokr import KroneckerLinear, kronecker_shapes
from director_diffusion.adapters.low_rank import low_rank_linear
from director_diffusion.errors import ModelError
from director_diffusion.specs import Adapter, LoraAdapter

NAME = "default"  # peft's own name of a model's only adapter, and here of the one that learns


def inject_adapter(denoiser: ModelMixin, spec: Adapter, targets: Sequence[str]) -> None:
    """Put a new adapter into a frozen denoiser of diffusers: float32, the only weights that learn.

    Starts as nothing (B = 0), with A from torch's generator.  Works on the meta device too.  Raises ModelError unless
    just `targets` carry it.
    """
    if isinstance(spec, LoraAdapter):
        config = lora_config(spec, targets)
        config._register_custom_module({nn.Linear: low_rank_linear})  # peft's way to bring layers of one's own
        denoiser.add_adapter(config, NAME)
        cast_training_params(denoiser, torch.float32)
    else:
        for name, linear in linears(denoiser):
            if name in targets:
                shapes = kronecker_shapes(linear.out_features, linear.in_features, spec.factor)
                wrapped = KroneckerLinear(linear, shapes, dropout=spec.dropout, dtype=torch.float32)
                replace_module(denoiser, name, wrapped)
    carrying = {name for name, module in denoiser.named_modules() if _carries(module, spec)}
    if astray := carrying.symmetric_difference(targets):
        raise ModelError(
            f"targets {spec.targets!r}",
            f"were not adapted as asked: {len(astray)} linears differ, as {min(astray)!r}",
            "Report this: the names of layers are not what this project takes them for.",
        )


def lora_config(spec: LoraAdapter, targets: Sequence[str]) -> LoraConfig:
    """peft's own configuration of a LoRA."""
    return LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        use_rslora=spec.rank_stabilised,
        use_dora=spec.dora,
        target_modules=list(targets),
    )


def adapter_parameters(denoiser: ModelMixin) -> dict[str, nn.Parameter]:
    """The weights that learn, by name, in the model's order."""
    return {name: parameter for name, parameter in denoiser.named_parameters() if parameter.requires_grad}


def adapter_weights(denoiser: ModelMixin) -> dict[str, Tensor]:
    """An injected adapter's weights as files name them, without the denoiser's role.

    LoRA: peft's names, `<module>.lora_A.weight`, `.lora_B.weight` and, of DoRA, `.lora_magnitude_vector`.  LoKr:
    `<module>.lokr_w1` and `.lokr_w2`.
    """
    if _is_lokr(denoiser):
        return {
            f"{name}.{factor}": getattr(layer, factor).data
            for name, layer in _kronecker_layers(denoiser).items()
            for factor in ("lokr_w1", "lokr_w2")
        }
    return dict(get_peft_model_state_dict(denoiser, adapter_name=NAME))


def set_adapter_weights(denoiser: ModelMixin, weights: Mapping[str, Tensor]) -> None:
    """Give an injected adapter other weights, named as `adapter_weights` names them.

    Raises ModelError unless they are the very ones that it has, of their shapes.
    """
    own = adapter_weights(denoiser)
    differing = sorted(
        {name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape}
        | (own.keys() ^ weights.keys())
    )
    if differing:
        raise ModelError(
            "weights",
            f"are not of this adapter: {len(differing)} of them differ in name or shape, as {differing[0]!r}",
            "Take them from an adapter of the same kind, size and targets.",
        )
    if _is_lokr(denoiser):
        with torch.no_grad():
            for name, layer in _kronecker_layers(denoiser).items():
                layer.lokr_w1.copy_(weights[f"{name}.lokr_w1"])
                layer.lokr_w2.copy_(weights[f"{name}.lokr_w2"])
    else:
        set_peft_model_state_dict(denoiser, dict(weights), adapter_name=NAME)


def is_adapted(module: nn.Module) -> bool:
    """Whether a layer carries an adapter."""
    return isinstance(module, (BaseTunerLayer, KroneckerLinear))


def linears(denoiser: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """The denoiser's own linears by name, in its order, also those in 4 bits.

    Of one that is adapted, the layer around it, which has the same features and weight.
    """
    within = None
    for name, module in list(denoiser.named_modules()):
        if within is not None and name.startswith(within):
            continue
        if is_adapted(module):
            within = f"{name}."
            yield name, cast(nn.Linear, module)
        elif isinstance(module, nn.Linear):
            yield name, module


def replace_module(denoiser: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place of the one called `name`."""
    parent, _, child = name.rpartition(".")
    setattr(denoiser.get_submodule(parent), child, module)


def _carries(module: nn.Module, spec: Adapter) -> bool:
    """Whether a layer carries the injected adapter, which is of that spec."""
    if isinstance(spec, LoraAdapter):
        return isinstance(module, LoraLayer) and NAME in module.lora_A
    return isinstance(module, KroneckerLinear)


def _is_lokr(denoiser: ModelMixin) -> bool:
    """Whether the injected adapter is one; a LoRA that learns may lie beside one that does not."""
    return NAME not in getattr(denoiser, "peft_config", {}) and bool(_kronecker_layers(denoiser))


def _kronecker_layers(denoiser: nn.Module) -> dict[str, KroneckerLinear]:
    return {name: module for name, module in denoiser.named_modules() if isinstance(module, KroneckerLinear)}
