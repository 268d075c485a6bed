"""FLOPs of the real shapes, on which the benchmark's utilisation stands."""

import pytest
import torch

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
