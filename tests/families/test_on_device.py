"""What a step asks of a family, where the tensors are: nothing is made on the host, and nothing is read back.

A GPU would wait for either.  The meta device stands for it: whatever reads a value of it fails by itself.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from director_diffusion.families import get_family
from director_diffusion.processes import Diffusion, Flow, Process
from director_diffusion.processes.base import squared_errors
from director_diffusion.specs import Objective, Timesteps
from tests.families.unets import real_unet

META = torch.device("meta")
BATCH = 2


class OnDevice(TorchDispatchMode):
    """Refuses operations that give tensors on another device than meta."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        strays = [one for one in tree_leaves(given) if isinstance(one, Tensor) and one.device != META]
        assert not strays, f"{func} gave {strays}"
        return given


def flux(**sizes: int) -> FluxTransformer2DModel:
    """A small one: blocks are alike."""
    with META:
        return FluxTransformer2DModel(
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=24,
            axes_dims_rope=(4, 6, 6),
            guidance_embeds=True,
            **sizes,
        )


MODELS: dict[str, tuple[Callable[[], Any], int, int, int]] = {  # with channels, widths of prompts and of pooled ones
    "flux": (lambda: flux(in_channels=16), 4, 32, 24),
    "flux_pixel": (lambda: flux(in_channels=48, out_channels=3, patch_size=4), 3, 32, 24),
    "sdxl": (lambda: real_unet("sdxl"), 4, 2048, 1280),
    "sd15": (lambda: real_unet("sd15"), 4, 768, 768),
}


def process_of(name: str) -> Iterator[Process]:
    if name.startswith("flux"):
        yield Flow(lambda cells: 3.0).to(META)
        return
    for prediction in ("epsilon", "v_prediction"):
        yield Diffusion(torch.linspace(0.999, 0.005, 1000), prediction).to(META)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_neither_makes_nor_reads_anything_on_the_host(name: str) -> None:
    make, channels, width, pooled = MODELS[name]
    family, denoiser = get_family(name), make().requires_grad_(True)
    with META:
        x0, noise = torch.randn(2, BATCH, channels, 16, 24)
        t = torch.rand(BATCH)
        conditions = {
            "prompt_embeds": torch.randn(BATCH, 7, width),
            "pooled_prompt_embeds": torch.randn(BATCH, pooled),
            **({"time_ids": torch.rand(BATCH, 6)} if name == "sdxl" else {}),
        }
    for process in process_of(name):
        with OnDevice():
            predicted = family.predict(denoiser, process.noisy(x0, noise, t), t, conditions, 2.5)
            errors = squared_errors(predicted, process.target(x0, noise, t))
            (errors * process.weights(t, Objective(min_snr_gamma=5.0))).mean().backward()
        assert all(parameter.grad is not None for parameter in denoiser.parameters())


def test_times_are_drawn_without_asking_the_device_for_each() -> None:
    asked = 0

    class Counted(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal asked
            asked += func is torch.ops.aten.log.default
            return func(*args, **(kwargs or {}))

    process = Diffusion(torch.linspace(0.999, 0.005, 1000), "epsilon")
    with Counted():
        for normal in torch.randn(5):
            process.times(normal, Timesteps(kind="style_friendly"), (8, 8))
    assert asked == 1
