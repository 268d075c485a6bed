"""Merging: ΔW beside W is the same function as running the adapter."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel

from director_diffusion.adapters.files import load_adapter, save_adapter
from director_diffusion.adapters.injection import adapter_weights
from director_diffusion.adapters.merging import base_weights
from director_diffusion.errors import ModelError
from director_diffusion.specs import Adapter
from tests.adapters.adapted import SPECS, adapt, block_linears, deltas, predict

Load = Callable[[], FluxTransformer2DModel]


def saved(flux: Load, spec: Adapter, path: Path) -> FluxTransformer2DModel:
    trained = adapt(flux(), spec)
    save_adapter(path, adapter_weights(trained), spec, block_linears(trained), role="transformer", metadata={})
    return trained


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_changes_are_what_running_it_amounts_to(flux: Load, tmp_path: Path, spec: Adapter) -> None:
    trained, merged = saved(flux, spec, path := tmp_path / "adapter.safetensors"), flux()
    expected, base = predict(trained), predict(merged)
    changes = deltas(path, merged)
    assert sorted(changes) == sorted(block_linears(merged))
    for name, change in changes.items():
        merged.get_submodule(name).weight += change
    assert (expected - base).abs().max() > 0.05
    torch.testing.assert_close(predict(merged), expected, rtol=1e-5, atol=1e-5)


def test_dora_needs_the_base(flux: Load, tmp_path: Path) -> None:
    saved(flux, SPECS["dora"], path := tmp_path / "adapter.safetensors")
    with pytest.raises(ModelError, match="cannot be told without the base"):
        deltas(path)


def test_only_a_bare_base_tells_its_own_weights(flux: Load) -> None:
    with pytest.raises(ModelError, match="it carries an adapter"):
        base_weights(adapt(flux(), SPECS["lora"]))


@pytest.mark.quantised
def test_four_bits_are_not_its_own_weights(flux: Load) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    transformer = flux()
    linear = transformer.transformer_blocks[0].attn.to_q
    quantised = bitsandbytes.nn.Linear4bit(linear.in_features, linear.out_features, quant_type="nf4")
    quantised.load_state_dict(linear.state_dict())
    transformer.transformer_blocks[0].attn.to_q = quantised.to("cpu")
    with pytest.raises(ModelError, match="or is held in 4 bits"):
        base_weights(transformer)


def test_a_loaded_lokr_is_its_factors_product(flux: Load, tmp_path: Path) -> None:
    saved(flux, SPECS["lokr"], path := tmp_path / "adapter.safetensors")
    loaded = flux()
    load_adapter(loaded, path)
    for name, change in deltas(path).items():
        layer = loaded.get_submodule(name)
        torch.testing.assert_close(change, torch.kron(layer.lokr_w1, layer.lokr_w2))
