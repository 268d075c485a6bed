"""Merging: an adapter as the change of weights that it amounts to.

Belongs here: ΔW of each adapted linear, and putting it into a base.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from director_diffusion.adapters.files import AdapterFile, check_fit, read_adapter
from director_diffusion.adapters.injection import is_adapted, linears
from director_diffusion.errors import ModelError


def deltas(path: Path, denoiser: nn.Module | None = None) -> Iterator[tuple[str, Tensor]]:
    """(module, ΔW (out, in), float32) of each linear that a file adapts.  DoRA's ΔW depends on the base: `denoiser`.

    Raises ModelError for DoRA without one.
    """
    file = read_adapter(path)
    weights = base_weights(denoiser) if denoiser is not None else {}
    for module in file.modules:
        yield module, delta(file, module, weights.get(module))


@torch.no_grad()
def merge_into(denoiser: nn.Module, path: Path) -> None:
    """Add an adapter to the weights of a denoiser that carries none, in float32 and rounded to theirs once.

    Raises ModelError where the file does not fit, or where the weights are in 4 bits.
    """
    file = read_adapter(path)
    check_fit(path, denoiser, file.role)
    weights = base_weights(denoiser)
    for module in file.modules:
        weight = weights[module]
        weight.copy_(weight.float() + delta(file, module, weight).to(weight.device))


@torch.no_grad()
def delta(file: AdapterFile, module: str, weight: Tensor | None) -> Tensor:
    """ΔW (out, in) of one linear, float32.  `weight` is the base's own, which DoRA needs.

    LoRA: scale · B A.  LoKr: A ⊗ B.  DoRA (Liu et al. 2024, eq. 5): m (W + scale · B A) / ‖W + scale · B A‖ - W, with
    the norm over a row, as peft has it.
    """
    if file.kind == "lokr":
        return torch.kron(_float(file, module, "lokr_w1"), _float(file, module, "lokr_w2"))
    low_rank = file.scale(module) * (_float(file, module, "lora_B.weight") @ _float(file, module, "lora_A.weight"))
    if f"{module}.lora_magnitude_vector" not in file.weights:
        return low_rank
    if weight is None:
        raise ModelError(
            f"DoRA of {module}", "cannot be told without the base: it scales the base's own rows", "Give the denoiser."
        )
    own = weight.to("cpu", torch.float32)
    directed = own + low_rank
    magnitude = _float(file, module, "lora_magnitude_vector")
    return magnitude[:, None] * directed / directed.norm(dim=1, keepdim=True) - own


def base_weights(denoiser: nn.Module) -> dict[str, Tensor]:
    """Weights (out, in) of a denoiser's linears by name.  Raises ModelError where it carries an adapter, or 4 bits."""
    weights: dict[str, Tensor] = {}
    for name, module in linears(denoiser):
        if is_adapted(module) or not module.weight.is_floating_point():
            raise ModelError(
                f"linear {name!r}",
                "is not the base's own in full: it carries an adapter, or is held in 4 bits",
                "Give the denoiser as it was loaded, unquantised.",
            )
        weights[name] = module.weight
    return weights


def _float(file: AdapterFile, module: str, kind: str) -> Tensor:
    return file.weights[f"{module}.{kind}"].float()
