"""FLOPs of training one sample, without recomputation, as if only the adapter learned.

Belongs here: counting on the meta device, where nothing is computed.  The adapter's own are left out: they are small,
and utilisation is told of the work that the base asks.
"""

import time

import torch
from diffusers import ModelMixin
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from director_diffusion.families.base import Family

_PRODUCTS_WITH_WEIGHTS = {"mm", "addmm", "convolution"}


def flops_per_sample(family: Family, denoiser: ModelMixin, latent: Tensor, conditions: dict[str, Tensor]) -> float:
    """Of a frozen denoiser on meta; `latent` (C, h, w) and conditions of one sample give the shapes.

    A product with a frozen weight is done once forward and once backward (for its input alone).  One of two
    activations, as in attention, needs both its gradients: three times.
    """
    dtype = next(denoiser.parameters()).dtype

    def on_meta(tensor: Tensor) -> Tensor:
        return torch.empty((1, *tensor.shape), device="meta", dtype=dtype)

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        family.predict(
            denoiser,
            on_meta(latent),
            torch.ones(1, device="meta"),
            {name: on_meta(tensor) for name, tensor in conditions.items()},
            1.0,
        )
    counts = counter.get_flop_counts()["Global"]
    with_weights = sum(
        count for operation, count in counts.items() if operation.__name__.split(".")[0] in _PRODUCTS_WITH_WEIGHTS
    )
    return float(2 * with_weights + 3 * (sum(counts.values()) - with_weights))


def matmul_peak(device: str, side: int = 8192, seconds: float = 2.0) -> float:
    """FLOP/s of this device's own bf16 matrix product, measured now."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    for _ in range(3):
        left @ right
    wait()
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(10):
            left @ right
        wait()
        done += 10
    return done * 2 * side**3 / (time.perf_counter() - started)
