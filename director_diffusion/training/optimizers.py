"""Optimizers: what turns gradients into steps, and their state as tensors.

Belongs here: making a recipe's optimizer, and taking its state apart for a checkpoint.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from director_diffusion.packages import require_bitsandbytes
from director_diffusion.specs import AdamW, AdamW8bit, Optimizer, Prodigy

_SCALARS = "scalars"  # the one entry that is no tensor of the optimizer's: its numbers, as JSON in bytes


def build_optimizer(parameters: Sequence[nn.Parameter], spec: Optimizer) -> torch.optim.Optimizer:
    """The optimizer of a recipe; its learning rate is set at every step."""
    settings: dict[str, Any] = {
        "lr": spec.lr,
        "betas": (spec.beta1, spec.beta2),
        "weight_decay": spec.weight_decay,
    }
    match spec:
        case AdamW():
            return torch.optim.AdamW(parameters, fused=True, **settings)
        case AdamW8bit():
            require_bitsandbytes("optimizer.kind: adamw_8bit")
            from bitsandbytes.optim import AdamW8bit as BlockwiseAdamW

            return BlockwiseAdamW(parameters, **settings)
        case Prodigy():
            from prodigyopt import Prodigy as ProdigyOptimizer

            with redirect_stdout(io.StringIO()):  # it prints a remark, and stdout may be a command's JSON
                return ProdigyOptimizer(
                    parameters,
                    d0=spec.first_size,
                    growth_rate=float("inf") if spec.growth is None else spec.growth,
                    # Without it, a warm-up's small learning rates would be taken for large distances.
                    safeguard_warmup=True,
                    use_bias_correction=True,
                    **settings,
                )
        case _:
            assert_never(spec)


def state_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All that the optimizer has gathered, as named tensors that share no memory; of its groups, their numbers."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for name, value in _flat(state["state"]):
        (tensors if isinstance(value, Tensor) else scalars)[name] = value
    groups = [{name: value for name, value in group.items() if name != "params"} for group in state["param_groups"]]
    text = json.dumps({"state": scalars, "groups": groups}, sort_keys=True)
    return {**_apart(tensors), _SCALARS: torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)}


def restore_state(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `state_tensors`, on an optimizer made by the same spec."""
    known = json.loads(bytes(tensors[_SCALARS].tolist()))
    state = _nested({**known["state"], **{name: value for name, value in tensors.items() if name != _SCALARS}})
    groups = optimizer.state_dict()["param_groups"]
    for group, kept in zip(groups, known["groups"], strict=True):
        group.update({name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()})
    by_number = {int(number): entries for number, entries in state.items()}
    optimizer.load_state_dict({"state": by_number, "param_groups": groups})


def _flat(entries: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Entries of nested mappings by dotted names; bitsandbytes puts its moments into a mapping of their own."""
    for name, value in entries.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `_flat`; keys are strings."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, name = key.split(".")
        place = nested
        for part in path:
            place = place.setdefault(part, {})
        place[name] = value
    return nested


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same values, each in memory of its own, as safetensors asks: bitsandbytes shares its tables of codes."""
    seen, apart = set(), {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart
