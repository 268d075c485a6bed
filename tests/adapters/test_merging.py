"""Merging: the same function as running the adapter."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel

from director_diffusion.adapters.files import load_adapter, save_adapter
from director_diffusion.adapters.injection import adapter_weights, linears
from director_diffusion.adapters.merging import deltas, merge_into
from director_diffusion.errors import ModelError
from director_diffusion.specs import Adapter
from tests.adapters.adapted import SPECS, adapt, block_linears, predict, tiny_unet

Load = Callable[[], FluxTransformer2DModel]


def saved(flux: Load, spec: Adapter, path: Path) -> FluxTransformer2DModel:
    trained = adapt(flux(), spec)
    save_adapter(path, adapter_weights(trained), spec, block_linears(trained), role="transformer", metadata={})
    return trained


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_merged_is_running(flux: Load, tmp_path: Path, spec: Adapter) -> None:
    trained, merged = saved(flux, spec, path := tmp_path / "adapter.safetensors"), flux()
    expected, base = predict(trained), predict(merged)
    merge_into(merged, path)
    assert (expected - base).abs().max() > 0.05
    torch.testing.assert_close(predict(merged), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_changes_are_what_merging_adds(flux: Load, tmp_path: Path, spec: Adapter) -> None:
    saved(flux, spec, path := tmp_path / "adapter.safetensors")
    base, merged = flux(), flux()
    merge_into(merged, path)
    before, after = dict(linears(base)), dict(linears(merged))
    changes = dict(deltas(path, base))
    assert sorted(changes) == sorted(block_linears(base))
    for name in before:
        change = changes.get(name, torch.zeros(()))
        torch.testing.assert_close(after[name].weight - before[name].weight, change.expand_as(after[name].weight))


def test_merging_rounds_once(flux: Load, tmp_path: Path) -> None:
    saved(flux, SPECS["lokr"], path := tmp_path / "adapter.safetensors")
    merged, base = flux().bfloat16(), flux().bfloat16()
    merge_into(merged, path)
    name, change = next(deltas(path))
    assert torch.equal(merged.get_submodule(name).weight, (base.get_submodule(name).weight.float() + change).bfloat16())


def test_dora_needs_the_base(flux: Load, tmp_path: Path) -> None:
    saved(flux, SPECS["dora"], path := tmp_path / "adapter.safetensors")
    with pytest.raises(ModelError, match="cannot be told without the base"):
        next(deltas(path))


def test_only_a_bare_base_that_it_fits_is_merged_into(flux: Load, tmp_path: Path) -> None:
    trained = saved(flux, SPECS["lora"], path := tmp_path / "adapter.safetensors")
    with pytest.raises(ModelError, match="it carries an adapter"):
        merge_into(trained, path)
    unet = tiny_unet("sdxl")
    before = predict(unet)
    with pytest.raises(ModelError, match="does not fit"):
        merge_into(unet, path)
    assert torch.equal(predict(unet), before)


@pytest.mark.quantised
def test_four_bits_are_not_merged_into(flux: Load, tmp_path: Path) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    saved(flux, SPECS["lora"], path := tmp_path / "adapter.safetensors")
    transformer = flux()
    linear = transformer.transformer_blocks[0].attn.to_q
    quantised = bitsandbytes.nn.Linear4bit(linear.in_features, linear.out_features, quant_type="nf4")
    quantised.load_state_dict(linear.state_dict())
    transformer.transformer_blocks[0].attn.to_q = quantised.to("cpu")
    with pytest.raises(ModelError, match="or is held in 4 bits"):
        merge_into(transformer, path)


def test_a_loaded_lokr_is_its_factors_product(flux: Load, tmp_path: Path) -> None:
    saved(flux, SPECS["lokr"], path := tmp_path / "adapter.safetensors")
    loaded = flux()
    load_adapter(loaded, path)
    for name, change in deltas(path):
        layer = loaded.get_submodule(name)
        torch.testing.assert_close(change, torch.kron(layer.lokr_w1, layer.lokr_w2))
