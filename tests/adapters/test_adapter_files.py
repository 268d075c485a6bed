"""Adapter files: what diffusers loads is what was trained, at its strength, and the bytes tell nothing else."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from safetensors import safe_open
from safetensors.torch import load_file

from director_diffusion.adapters.files import (
    check_fit,
    kind_of,
    load_adapter,
    read_adapter,
    read_weights,
    remove_adapter,
    save_adapter,
)
from director_diffusion.adapters.injection import adapter_weights, linears
from director_diffusion.adapters.stacking import load_stack
from director_diffusion.errors import ModelError
from director_diffusion.specs import Adapter, LoraAdapter
from tests.adapters.adapted import KINDS, SPECS, adapt, block_linears, deltas, predict, save, tiny_unet, unet_pipeline

Load = Callable[[], FluxTransformer2DModel]
LORAS = {name: spec for name, spec in SPECS.items() if spec.kind == "lora"}


# --- loading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", LORAS.values(), ids=LORAS)
def test_the_pipeline_loads_the_very_adapter(
    flux: Load, flux_pipeline: FluxPipeline, tmp_path: Path, spec: Adapter
) -> None:
    trained = adapt(flux(), spec)
    path = save(trained, spec, tmp_path / "pytorch_lora_weights.safetensors")
    expected, base = predict(trained), predict(flux_pipeline.transformer)
    flux_pipeline.load_lora_weights(path.parent)
    assert (expected - base).abs().max() > 0.05
    torch.testing.assert_close(predict(flux_pipeline.transformer), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("family", "name"), [("sd15", "rank_stabilised"), ("sdxl", "alpha"), ("sdxl", "dora")])
def test_the_unets_pipelines_too(tmp_path: Path, family: str, name: str) -> None:
    spec = SPECS[name]
    trained = adapt(tiny_unet(family), spec)
    path = save(trained, spec, tmp_path / "pytorch_lora_weights.safetensors", role="unet")
    pipeline = unet_pipeline(family)
    expected, base = predict(trained), predict(pipeline.unet)
    pipeline.load_lora_weights(path.parent)
    assert (expected - base).abs().max() > 0.005
    torch.testing.assert_close(predict(pipeline.unet), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_loaded_it_is_the_very_adapter_and_removed_it_is_gone(flux: Load, tmp_path: Path, spec: Adapter) -> None:
    path = save(trained := adapt(flux(), spec), spec, tmp_path / "adapter.safetensors")
    fresh = flux()
    base, modules = predict(fresh), list(fresh.named_modules())
    load_adapter(fresh, path)
    torch.testing.assert_close(predict(fresh), predict(trained), rtol=1e-5, atol=1e-5)
    remove_adapter(fresh)
    assert torch.equal(predict(fresh), base)
    assert list(fresh.named_modules()) == modules
    assert getattr(fresh, "peft_config", None) is None
    load_adapter(fresh, path)  # and it can be worn again
    torch.testing.assert_close(predict(fresh), predict(trained), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kinds", [("lora", "lora"), ("lora", "lokr"), ("lokr", "lora", "lokr")], ids="-".join)
def test_several_at_strengths_add_up_and_come_off_whole(flux: Load, tmp_path: Path, kinds: tuple[str, ...]) -> None:
    strengths = (0.5, -0.25, 0.3)[: len(kinds)]
    paths = [
        save(adapt(flux(), SPECS[kind], seed=place), SPECS[kind], tmp_path / f"{place}.safetensors")
        for place, kind in enumerate(kinds)
    ]
    fresh, together = flux(), flux()
    base, modules, weights = predict(fresh), list(fresh.named_modules()), dict(linears(together))
    for path, strength in zip(paths, strengths, strict=True):
        for module, change in deltas(path).items():
            weights[module].weight.data += strength * change
    load_stack(fresh, paths, strengths)
    assert (predict(together) - base).abs().max() > 0.05
    torch.testing.assert_close(predict(fresh), predict(together), rtol=1e-4, atol=1e-4)
    remove_adapter(fresh)
    assert torch.equal(predict(fresh), base)
    assert list(fresh.named_modules()) == modules


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_a_trained_adapter_can_be_taken_out_too(flux: Load, spec: Adapter) -> None:
    transformer = flux()
    base, modules = predict(transformer), list(transformer.named_modules())
    remove_adapter(adapt(transformer, spec))
    assert torch.equal(predict(transformer), base)
    assert list(transformer.named_modules()) == modules


@pytest.mark.parametrize("spec", [SPECS["lora"], SPECS["lokr"]], ids=["lora", "lokr"])
def test_a_loaded_adapter_has_the_bases_dtype(flux: Load, tmp_path: Path, spec: Adapter) -> None:
    path = save(adapt(flux(), spec), spec, tmp_path / "adapter.safetensors")
    fresh = flux().bfloat16()
    load_adapter(fresh, path)
    own = [parameter for name, parameter in fresh.named_parameters() if "lora_" in name or "lokr_" in name]
    assert own
    assert all(parameter.dtype == torch.bfloat16 for parameter in own)


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_weights_come_back_as_they_were(flux: Load, tmp_path: Path, spec: Adapter) -> None:
    trained = adapt(flux(), spec)
    path = save(trained, spec, tmp_path / "adapter.safetensors")
    weights = adapter_weights(trained)
    read = read_weights(path)
    assert set(read) == set(weights)
    assert all(torch.equal(read[name], weights[name]) for name in weights)
    assert kind_of(path) == spec.kind


@pytest.mark.parametrize("spec", [spec for spec in SPECS.values() if not getattr(spec, "dora", False)])
def test_a_strength_is_in_the_weights(flux: Load, flux_pipeline: FluxPipeline, tmp_path: Path, spec: Adapter) -> None:
    """So it loads at it anywhere: here, as diffusers weighs an adapter."""
    trained = adapt(flux(), spec)
    half = flux()
    load_adapter(half, save(trained, spec, tmp_path / "half.safetensors", strength=0.5))
    whole = flux()
    load_adapter(whole, save(trained, spec, tmp_path / "whole.safetensors"))
    if spec.kind == "lora":
        whole.set_adapters(["default_0"], [0.5])
    else:
        for name, parameter in whole.named_parameters():
            if name.endswith("lokr_w1"):
                parameter.data *= 0.5
    torch.testing.assert_close(predict(half), predict(whole), rtol=1e-5, atol=1e-5)
    assert (predict(half) - predict(trained)).abs().max() > 0.02


# --- the header and the bytes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rank_stabilised", "lokr"])
def test_the_header_tells_what_the_adapter_is(flux: Load, tmp_path: Path, name: str) -> None:
    spec = SPECS[name]
    path = save(adapt(flux(), spec), spec, tmp_path / "adapter.safetensors")
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        assert all(key.startswith("transformer.") for key in file.keys())  # noqa: SIM118 — no mapping
    assert header["format"] == "pt"
    assert (header["director"], header["base"]) == ("nolan", "mini")
    assert type(spec).model_validate_json(header["adapter"]) == spec
    if name != "lokr":
        lora = json.loads(header["lora_adapter_metadata"])
        assert (lora["transformer.r"], lora["transformer.lora_alpha"], lora["transformer.use_rslora"]) == (4, 6, True)
        assert lora["transformer.target_modules"] == sorted(block_linears(flux()))


def test_only_what_differs_from_pefts_defaults_is_told(flux: Load, tmp_path: Path) -> None:
    """Dropout is training's; and older versions of peft lack newer options."""
    spec = LoraAdapter(kind="lora", rank=4, alpha=4, dropout=0.3)
    path = save(adapt(flux(), spec), spec, tmp_path / "adapter.safetensors")
    assert set(read_adapter(path).config) == {"r", "lora_alpha", "target_modules"}


def test_a_lokr_tells_an_alpha_that_changes_nothing(flux: Load, tmp_path: Path) -> None:
    path = save(adapt(flux(), SPECS["lokr"]), SPECS["lokr"], tmp_path / "adapter.safetensors")
    tensors = load_file(path)
    alphas = {name: tensor for name, tensor in tensors.items() if name.endswith(".alpha")}
    assert len(tensors) == 3 * len(alphas)
    assert all(alpha == 1 and alpha.shape == () for alpha in alphas.values())


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_the_files_bytes_depend_on_its_content_alone(tmp_path: Path, spec: Adapter) -> None:
    """Neither the order of arguments nor that of safetensors' own metadata, new in every file, may show."""
    names = ["a", "c", "b"]
    kinds = ("lokr_w1", "lokr_w2") if spec.kind == "lokr" else ("lora_A.weight", "lora_B.weight")
    weights = {f"{name}.{kind}": torch.full((2, 3), ord(name)) * 1.5 for name in names for kind in kinds}
    contents = set()
    for number in range(4):
        path = tmp_path / f"{number}.safetensors"
        weights = dict(sorted(weights.items(), reverse=bool(number % 2)))
        metadata = dict(sorted({letter: letter for letter in "zxywv"}.items(), reverse=bool(number // 2)))
        save_adapter(path, weights, spec, names[:: 1 - 2 * (number % 2)], role="unet", metadata=metadata)
        contents.add(path.read_bytes())
    assert len(contents) == 1
    read = read_weights(path)
    assert all(torch.equal(read[name], weights[name]) for name in weights)


# --- what does not fit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_an_adapter_fits_its_base_adapted_or_not(flux: Load, tmp_path: Path, spec: Adapter) -> None:
    trained = adapt(flux(), spec)
    path = save(trained, spec, tmp_path / "adapter.safetensors")
    check_fit(path, trained, "transformer")
    check_fit(path, flux(), "transformer")


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_an_adapter_of_another_base_is_refused(flux: Load, tmp_path: Path, spec: Adapter) -> None:
    path = save(adapt(flux(), spec), spec, tmp_path / "adapter.safetensors")
    with torch.device("meta"):
        narrower = FluxTransformer2DModel.from_config({**flux().config, "num_attention_heads": 2})
        shallower = FluxTransformer2DModel.from_config({**flux().config, "num_single_layers": 4})
    for other in (narrower, shallower, tiny_unet("sdxl")):
        with pytest.raises(ModelError, match=r"does not fit this base: \d+ of its \d+ weights have no place"):
            check_fit(path, other, "transformer")
    with pytest.raises(ModelError, match="does not fit this base"):
        check_fit(path, flux(), "unet")


def test_one_weight_astray_is_enough(flux: Load, tmp_path: Path) -> None:
    spec = SPECS["dora"]
    trained = adapt(flux(), spec)
    own = adapter_weights(trained)
    magnitude = next(name for name in own if name.endswith("magnitude_vector"))
    path = tmp_path / "adapter.safetensors"
    for wrong in ({magnitude: own[magnitude][:-1]}, {"nowhere.lora_A.weight": torch.zeros(4, 4)}):
        save_adapter(path, {**own, **wrong}, spec, block_linears(trained), role="transformer", metadata={})
        with pytest.raises(ModelError, match=r"does not fit this base: 1 of its \d+ weights"):
            check_fit(path, flux(), "transformer")


def test_what_is_no_adapter_is_told(flux: Load, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.safetensors"
    with pytest.raises(ModelError, match="cannot be read as an adapter"):
        check_fit(nothing, flux(), "transformer")
    nothing.write_bytes(b"not a safetensors file")
    with pytest.raises(ModelError, match="cannot be read as an adapter"):
        kind_of(nothing)
    save_adapter(nothing, {"a.weight": torch.zeros(1)}, SPECS["lora"], ["a"], role="transformer", metadata={})
    with pytest.raises(ModelError, match=r"is no adapter as this project writes them: it has weights as \['transf"):
        read_adapter(nothing)
