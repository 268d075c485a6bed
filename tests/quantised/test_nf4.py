"""A base in 4 bits: what it holds, and adapters trained on it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from diffusers import FluxTransformer2DModel
from safetensors.torch import load_file, save_file

from director_diffusion.errors import ModelError
from director_diffusion.families import get_family
from director_diffusion.training.checks import judge
from director_diffusion.training.rows import WEIGHTS, TrainingResult
from tests.training.trainings import RECIPE, varied

pytestmark = pytest.mark.quantised
FAMILY = get_family("flux")
QUANTISED = varied(RECIPE, quantised_base="nf4", precision="bfloat16", steps=4)


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A Flux whose linears have rows of whole blocks, as published ones have."""
    torch.manual_seed(0)
    FluxTransformer2DModel(
        in_channels=32,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=64,
        num_attention_heads=2,
        joint_attention_dim=64,
        pooled_projection_dim=64,
        axes_dims_rope=(16, 24, 24),
    ).save_pretrained(tmp_path / "transformer", max_shard_size="1MB")
    return tmp_path


def test_linears_of_blocks_are_in_4_bits_and_all_else_as_it_was(wide: Path) -> None:
    whole = FAMILY.load_denoiser(wide, device="cpu", dtype=torch.float32)
    quantised = FAMILY.load_denoiser(wide, device="cpu", dtype=torch.float32, quantised="nf4")
    in_blocks = [
        name
        for name, module in whole.named_modules()
        if isinstance(module, torch.nn.Linear) and "transformer_blocks." in name
    ]
    four = [name for name, module in quantised.named_modules() if isinstance(module, Linear4bit)]
    assert four == in_blocks
    assert len(list((wide / "transformer").glob("*.safetensors"))) > 1  # several shards were read
    assert not any(parameter.requires_grad for parameter in quantised.parameters())
    for name in four:
        weight, own = quantised.get_submodule(name).weight, whole.get_submodule(name).weight
        assert weight.nbytes == own.nbytes / 8
        again = dequantize_4bit(weight.data, weight.quant_state)
        assert (again - own).norm() / own.norm() < 0.12  # of normal weights about 0.09 (Dettmers et al. 2023)
        own.data = again
    prompt = {"prompt_embeds": torch.randn(2, 6, 64), "pooled_prompt_embeds": torch.randn(2, 64)}
    noisy, t = torch.randn(2, 8, 8, 12), torch.tensor([0.3, 0.8])
    with torch.no_grad():
        expected = FAMILY.predict(whole, noisy, t, prompt, 1.0)
        found = FAMILY.predict(quantised, noisy, t, prompt, 1.0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_weights_that_the_files_lack_are_named(wide: Path) -> None:
    index = wide / "transformer/diffusion_pytorch_model.safetensors.index.json"
    shards = json.loads(index.read_text())["weight_map"]
    path = wide / "transformer" / shards["proj_out.weight"]
    tensors = load_file(path)
    del tensors["proj_out.weight"]
    save_file(tensors, path)
    with pytest.raises(ModelError, match=r"lacks 1 of its weights, as 'proj_out.weight'"):
        FAMILY.load_denoiser(wide, device="cpu", dtype=torch.float32, quantised="nf4")
    path.unlink()
    with pytest.raises(ModelError, match=f"transformer/ lacks {path.name}"):
        FAMILY.load_denoiser(wide, device="cpu", dtype=torch.float32, quantised="nf4")


@pytest.mark.parametrize(
    "adapter",
    [RECIPE.adapter.model_dump(), {"kind": "lokr", "factor": [4, 8]}, {**RECIPE.adapter.model_dump(), "dora": True}],
    ids=["lora", "lokr", "dora"],
)
def test_an_adapter_is_trained_on_it_and_reloads(
    train: Callable[..., TrainingResult], tmp_path: Path, adapter: dict[str, object]
) -> None:
    result = train(varied(QUANTISED, adapter=adapter))
    assert result.held_out_loss < result.base_held_out_loss
    assert judge(result)[0].passed, judge(result)[0].description
    weights = load_file(tmp_path / "run" / "out" / WEIGHTS)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_moments_in_8_bits(train: Callable[..., TrainingResult]) -> None:
    """Against moments in full: nearly the same training, of weights large enough (4096) for 8 bits."""
    large = varied(RECIPE, adapter={"kind": "lora", "rank": 64, "alpha": 64}, optimizer={"kind": "adamw", "lr": 1e-3})
    recipe = varied(large, optimizer={"kind": "adamw_8bit", "lr": 1e-3})
    eight, full = train(recipe, name="eight"), train(large, name="full")
    assert eight.held_out_loss == pytest.approx(full.held_out_loss, rel=0.02)
    assert eight.held_out_loss != full.held_out_loss
