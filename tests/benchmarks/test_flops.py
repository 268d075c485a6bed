"""FLOPs of the real shapes, on which the benchmark's utilisation stands."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.steps.flops import flops_per_sample
from benchmarks.steps.shapes import SHAPES
from director_diffusion.families import get_family


@pytest.mark.parametrize(("side", "tflop"), [(1024, 163.6), (512, 44.7)])
def test_flops_of_a_flux_sample(side: int, tflop: float) -> None:
    """Published figures, without recomputation, with 512 text tokens."""
    shape = SHAPES["flux"]
    first = shape.dataset(side, stills=1).train[0]
    found = flops_per_sample(get_family("flux"), shape.on_meta(torch.bfloat16), first.mean, dict(first.prompt))
    assert found / 1e12 == pytest.approx(tflop, abs=0.05)


def test_flops_of_an_sdxl_sample() -> None:
    """What torch counts of a whole backward pass with frozen weights, at a size that a CPU has time for."""
    shape, family = SHAPES["sdxl"], get_family("sdxl")
    first = shape.dataset(1024, stills=1).train[0]
    conditions = {**first.prompt, **first.sizes}
    unet = shape.on_meta(torch.float32)
    with FlopCounterMode(display=False) as counter:
        batch = {name: torch.empty((1, *value.shape), device="meta") for name, value in conditions.items()}
        latent = torch.empty((1, *first.mean.shape), device="meta", requires_grad=True)
        family.predict(unet, latent, torch.ones(1, device="meta"), batch, 1.0).sum().backward()
    found = flops_per_sample(family, unet, first.mean, conditions)
    assert found == pytest.approx(counter.get_total_flops(), rel=0.02)
