"""Layering: a LoRA that learns on top of an adapter that does not."""

from pathlib import Path
from typing import Any

import pytest
import torch

from director_diffusion.adapters.files import load_adapter
from director_diffusion.adapters.injection import adapter_parameters, adapter_weights
from director_diffusion.adapters.layering import inject_on, wear_upper
from director_diffusion.errors import ModelError
from director_diffusion.families import get_family
from director_diffusion.specs import Adapter, LokrAdapter, LoraAdapter
from tests.adapters.adapted import random_adapter

UPPER = LoraAdapter(kind="lora", rank=2, alpha=2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "spec",
    [
        LoraAdapter(kind="lora", rank=2, alpha=4, targets="attention"),
        LoraAdapter(kind="lora", rank=2, alpha=4, dora=True),
        LokrAdapter(kind="lokr", factor=(4, 4)),
    ],
    ids=["LoRA", "DoRA", "LoKr"],
)
def test_without_the_upper_one_it_is_the_lower_one_as_loaded(
    mini_base: Path, tmp_path: Path, spec: Adapter, dtype: torch.dtype
) -> None:
    family, below = get_family("flux"), random_adapter(tmp_path / "below.safetensors", spec, seed=0)
    layered, loaded = (family.load_denoiser(mini_base, device="cpu", dtype=dtype) for _ in range(2))
    targets = family.target_modules(layered, UPPER.targets)
    inject_on(layered, below, UPPER, targets, role=family.role)
    load_adapter(loaded, below)
    rng = torch.Generator().manual_seed(0)
    x, t = torch.randn(1, 8, 12, 20, generator=rng), torch.tensor([0.6])
    asked: dict[str, Any] = {
        "prompt_embeds": torch.randn(1, 6, 96, generator=rng),
        "pooled_prompt_embeds": torch.randn(1, 64, generator=rng),
    }

    def predicted(denoiser: Any) -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", dtype, enabled=dtype is torch.bfloat16):
            return family.predict(denoiser, x, t, asked, 1.0)

    alone = predicted(loaded)
    assert torch.equal(predicted(layered), alone), "which starts as nothing"
    assert adapter_parameters(layered).keys() == {
        f"{name}.{factor}.default.weight" for name in targets for factor in ("lora_A", "lora_B")
    }
    assert adapter_weights(layered).keys() == {
        f"{name}.{factor}.weight" for name in targets for factor in ("lora_A", "lora_B")
    }
    with torch.no_grad():
        for parameter in adapter_parameters(layered).values():
            parameter.add_(0.1)
    assert not torch.equal(predicted(layered), alone)
    wear_upper(layered, False)
    assert torch.equal(predicted(layered), alone)
    assert not adapter_parameters(layered)


def test_a_lower_one_of_another_base_is_refused(mini_base: Path, tmp_path: Path) -> None:
    family, below = get_family("flux"), random_adapter(tmp_path / "below.safetensors", UPPER, seed=0)
    denoiser = family.load_denoiser(mini_base, device="cpu", dtype=torch.float32)
    with pytest.raises(ModelError, match="does not fit this base"):
        inject_on(denoiser, below, UPPER, ["proj_out"], role="unet")
