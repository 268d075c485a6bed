"""Merging: an adapter as the change of weights that it amounts to.

Belongs here: ΔW of an adapted linear, and the weights of a base that it may depend on.
"""

import torch
from torch import Tensor, nn

from director_diffusion.adapters.files import AdapterFile
from director_diffusion.adapters.injection import is_adapted, linears
from director_diffusion.errors import ModelError


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
