"""Exports: what diffusers loads of them is the adapter, and so is what ComfyUI and LyCORIS do, by their formulas."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from safetensors.torch import load_file
from torch import Tensor

from director_diffusion.adapters.export import export_adapter
from director_diffusion.adapters.files import load_adapter, read_adapter, save_adapter
from director_diffusion.adapters.injection import linears
from director_diffusion.adapters.layouts import in_layout
from director_diffusion.errors import ModelError
from director_diffusion.specs import LokrAdapter
from tests.adapters.adapted import (
    SPECS,
    adapt,
    attention_linears,
    block_linears,
    deltas,
    header_of,
    predict,
    save,
    tiny_unet,
    unet_pipeline,
)

Load = Callable[[], FluxTransformer2DModel]
UNETS = ["sd15", "sdxl"]


# --- kohya's layout ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", UNETS)
@pytest.mark.parametrize(("layout", "name"), [("kohya", "alpha"), ("kohya", "rank_stabilised"), ("comfyui", "alpha")])
def test_diffusers_loads_what_is_exported_of_a_unet(tmp_path: Path, family: str, layout: str, name: str) -> None:
    trained = adapt(tiny_unet(family), SPECS[name])
    source = save(trained, SPECS[name], tmp_path / "source.safetensors", "unet")
    report = export_adapter(source, tmp_path / "out.safetensors", layout, family)
    assert report.linears == len(block_linears(tiny_unet(family)))
    assert report.error == 0
    pipeline = unet_pipeline(family)
    pipeline.load_lora_weights(tmp_path, weight_name="out.safetensors")
    torch.testing.assert_close(predict(pipeline.unet), predict(trained), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["alpha", "rank_stabilised"])
def test_diffusers_loads_what_is_exported_of_flux(
    flux: Load, flux_pipeline: FluxPipeline, tmp_path: Path, name: str
) -> None:
    """The two-stream blocks; of single ones its loader takes Flux.1's own widths for granted (see below)."""
    targets = [target for target in block_linears(flux()) if not target.startswith("single")]
    trained = adapt(flux(), SPECS[name], targets)
    source = save(trained, SPECS[name], tmp_path / "source.safetensors", "transformer")
    export_adapter(source, tmp_path / "out.safetensors", "kohya", "flux")
    names = {name.split(".")[0] for name in load_file(tmp_path / "out.safetensors")}
    assert names == {
        f"lora_unet_double_blocks_0_{stream}_{part}"
        for stream in ("img", "txt")
        for part in ("attn_qkv", "attn_proj", "mlp_0", "mlp_2")
    }
    flux_pipeline.load_lora_weights(tmp_path, weight_name="out.safetensors")
    loaded = flux_pipeline.transformer
    torch.testing.assert_close(predict(loaded), predict(trained), rtol=1e-5, atol=1e-5)
    assert loaded.transformer_blocks[0].attn.to_q.r["default_0"] == 4  # q, k and v apart again


@pytest.mark.parametrize(
    "adapted", ["attn.to_q attn.to_k attn.to_v", "attn.to_q attn.to_k attn.to_v proj_mlp proj_out"]
)
def test_diffusers_reads_a_single_block_of_flux_in_its_real_width(tmp_path: Path, adapted: str) -> None:
    rows = {"proj_mlp": 12288}
    columns = {"proj_out": 3072 + 12288}
    torch.manual_seed(0)
    weights = {}
    for name in adapted.split():
        weights[f"single_transformer_blocks.7.{name}.lora_A.weight"] = torch.randn(4, columns.get(name, 3072))
        weights[f"single_transformer_blocks.7.{name}.lora_B.weight"] = torch.randn(rows.get(name, 3072), 4)
    targets = [f"single_transformer_blocks.7.{name}" for name in adapted.split()]
    source = tmp_path / "source.safetensors"
    save_adapter(source, weights, SPECS["alpha"], targets, role="transformer", metadata={})
    export_adapter(source, tmp_path / "out.safetensors", "kohya", "flux")
    read = FluxPipeline.lora_state_dict(tmp_path, weight_name="out.safetensors")
    for name in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp", "proj_out"):
        theirs, ours = (f"{prefix}single_transformer_blocks.7.{name}" for prefix in ("transformer.", ""))
        if f"{ours}.lora_A.weight" not in weights:
            assert not read.get(f"{theirs}.lora_B.weight", torch.zeros(1)).any()
            continue
        x = torch.randn(columns.get(name, 3072))
        loaded = read[f"{theirs}.lora_B.weight"] @ (read[f"{theirs}.lora_A.weight"] @ x)
        expected = 10.5 / 4 * weights[f"{ours}.lora_B.weight"] @ (weights[f"{ours}.lora_A.weight"] @ x)
        torch.testing.assert_close(loaded, expected, rtol=1e-4, atol=2e-3)


def test_linears_of_different_strength_fuse_too(flux: Load, tmp_path: Path) -> None:
    """As of a LoKr that was reduced: each linear has a rank of its own."""
    spec = LokrAdapter(kind="lokr", factor=(4, 16))
    source = save(adapt(flux(), spec), spec, tmp_path / "lokr.safetensors", "transformer")
    export_adapter(source, tmp_path / "lora.safetensors", "lora", "flux", rank=6)
    file = read_adapter(tmp_path / "lora.safetensors")
    name = "transformer_blocks.0.attn.to_k"
    file.weights[f"{name}.lora_A.weight"] = file.weights[f"{name}.lora_A.weight"][:2]
    file.weights[f"{name}.lora_B.weight"] = file.weights[f"{name}.lora_B.weight"][:, :2]
    tensors = in_layout(file, "kohya", "flux")
    key = "lora_unet_double_blocks_0_img_attn_qkv"
    up, down = tensors[f"{key}.lora_up.weight"], tensors[f"{key}.lora_down.weight"]
    fused = tensors[f"{key}.alpha"] / down.shape[0] * up @ down
    parts = [f"transformer_blocks.0.attn.to_{letter}" for letter in "qkv"]
    expected = [
        file.scale(part) * file.weights[f"{part}.lora_B.weight"] @ file.weights[f"{part}.lora_A.weight"]
        for part in parts
    ]
    assert file.scale(parts[0]) != file.scale(parts[1])
    torch.testing.assert_close(fused, torch.cat(expected), rtol=1e-5, atol=1e-6)


def test_lokr_does_not_fuse(flux: Load, tmp_path: Path) -> None:
    spec = SPECS["lokr"]
    source = save(adapt(flux(), spec), spec, tmp_path / "source.safetensors", "transformer")
    with pytest.raises(ModelError, match=r"does not fuse.*Export it for ComfyUI, or with"):
        export_adapter(source, tmp_path / "out.safetensors", "kohya", "flux")
    alone = [name for name in block_linears(flux()) if name.endswith((".proj_out", ".ff.net.2"))]
    source = save(adapt(flux(), spec, alone), spec, tmp_path / "source.safetensors", "transformer")
    export_adapter(source, tmp_path / "out.safetensors", "kohya", "flux")
    tensors = load_file(tmp_path / "out.safetensors")
    for module, change in deltas(source).items():
        block, number = module.split(".")[:2]
        name = f"single_blocks_{number}_linear2" if block.startswith("single") else f"double_blocks_{number}_img_mlp_2"
        factors = (tensors[f"lora_unet_{name}.{factor}"] for factor in ("lokr_w1", "lokr_w2"))
        assert torch.equal(torch.kron(*factors), change)


def test_dora_does_not_fuse_with_linears_that_have_none(flux: Load, tmp_path: Path) -> None:
    targets = [name for name in block_linears(flux()) if ".to_q" in name]
    source = save(adapt(flux(), SPECS["dora"], targets), SPECS["dora"], tmp_path / "source.safetensors", "transformer")
    with pytest.raises(ModelError, match="does not fuse with linears that have none"):
        export_adapter(source, tmp_path / "out.safetensors", "kohya", "flux")


def test_linears_and_families_without_a_name_are_told(flux: Load, tmp_path: Path) -> None:
    source = save(
        adapt(flux(), SPECS["lora"], ["x_embedder"]), SPECS["lora"], tmp_path / "s.safetensors", "transformer"
    )
    with pytest.raises(ModelError, match=r"linear 'x_embedder': has no name in sd-scripts' Flux"):
        export_adapter(source, tmp_path / "out.safetensors", "kohya", "flux")
    with pytest.raises(ModelError, match="family 'wan': has no layout but diffusers' own"):
        export_adapter(source, tmp_path / "out.safetensors", "comfyui", "wan")


# --- as ComfyUI and LyCORIS read them ----------------------------------------------------------------------------


def patched_by_comfyui(weight: Tensor, name: str, tensors: dict[str, Tensor]) -> Tensor:
    """W' of one linear, by comfy/lora.py and comfy/weight_adapter (v0.3.77): their formulas, strength 1."""
    alpha = tensors.get(f"{name}.alpha")
    for up, down in (("lora_up.weight", "lora_down.weight"), ("lora_B.weight", "lora_A.weight")):
        if f"{name}.{up}" in tensors:
            rank = tensors[f"{name}.{down}"].shape[0]
            scale = alpha.item() / rank if alpha is not None else 1.0
            change = scale * tensors[f"{name}.{up}"] @ tensors[f"{name}.{down}"]
            if (dora := tensors.get(f"{name}.dora_scale")) is None:
                return weight + change
            assert dora.shape == (weight.shape[0], 1)  # on the output axis, and so against the norm of W
            return (weight + change) * (dora / (weight.norm(dim=1, keepdim=True) + torch.finfo(weight.dtype).eps))
    if f"{name}.lokr_w1" in tensors:  # full factors: whatever alpha says
        return weight + torch.kron(tensors[f"{name}.lokr_w1"], tensors[f"{name}.lokr_w2"])
    return weight + tensors[f"{name}.diff"]


def name_in_comfyui(module: str, family: str) -> str:
    """One that its key map has for a linear of diffusers."""
    return f"transformer.{module}" if family == "flux" else f"lora_unet_{module.replace('.', '_')}"


def name_in_sd_scripts(module: str, family: str) -> str:
    """Of a linear of `tiny_unet`."""
    stabilitys = {f"down_blocks_{i}_attentions_{j}": f"input_blocks_{3 * i + j + 1}_1" for i in (1, 2) for j in (0, 1)}
    stabilitys |= {f"up_blocks_{i}_attentions_{j}": f"output_blocks_{3 * i + j}_1" for i in (0, 1) for j in (0, 1, 2)}
    stabilitys |= {"mid_block_attentions_0": "middle_block_1"}
    name = name_in_comfyui(module, family)
    for ours, theirs in stabilitys.items():
        name = name.replace(ours, theirs) if family == "sdxl" else name
    return name


@pytest.mark.parametrize("layout", ["comfyui", "delta"])
@pytest.mark.parametrize(("family", "name"), [*(("flux", name) for name in SPECS), ("sdxl", "dora"), ("sdxl", "lokr")])
def test_comfyui_patches_the_same_weights(flux: Load, tmp_path: Path, family: str, layout: str, name: str) -> None:
    spec = SPECS[name]
    base = flux() if family == "flux" else tiny_unet(family)
    role = "transformer" if family == "flux" else "unet"
    source = save(adapt(flux() if family == "flux" else tiny_unet(family), spec), spec, tmp_path / "s.st", role)
    export_adapter(source, tmp_path / "out.safetensors", layout, family, base=base)
    tensors, weights = load_file(tmp_path / "out.safetensors"), dict(linears(base))
    changes = deltas(source, base)
    names = {name_in_comfyui(module, family) for module in changes}
    assert all(any(key.startswith(f"{name}.") for name in names) for key in tensors)
    for module, change in changes.items():
        weight = weights[module].weight
        patched = patched_by_comfyui(weight, name_in_comfyui(module, family), tensors)
        torch.testing.assert_close(patched, weight + change, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", UNETS)
def test_kohyas_dora_is_lycoris_own(tmp_path: Path, family: str) -> None:
    """LyCORIS sets `dora_scale` against the norm of W + ΔW (lycoris/modules/base.py, wd_on_out)."""
    source = save(adapt(tiny_unet(family), SPECS["dora"]), SPECS["dora"], tmp_path / "source.safetensors", "unet")
    export_adapter(source, tmp_path / "out.safetensors", "kohya", family)
    tensors, base = load_file(tmp_path / "out.safetensors"), tiny_unet(family)
    weights = dict(linears(base))
    for module, change in deltas(source, base).items():
        name, weight = name_in_sd_scripts(module, family), weights[module].weight
        rank = tensors[f"{name}.lora_down.weight"].shape[0]
        low_rank = tensors[f"{name}.lora_up.weight"] @ tensors[f"{name}.lora_down.weight"]
        directed = weight + tensors[f"{name}.alpha"] / rank * low_rank
        merged = directed * tensors[f"{name}.dora_scale"] / directed.norm(dim=1, keepdim=True)
        torch.testing.assert_close(merged, weight + change, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", ["comfyui", "delta"])
def test_dora_cannot_be_told_to_comfyui_without_the_base(tmp_path: Path, layout: str) -> None:
    source = save(adapt(tiny_unet("sd15"), SPECS["dora"]), SPECS["dora"], tmp_path / "source.safetensors", "unet")
    with pytest.raises(ModelError, match="without the base"):
        export_adapter(source, tmp_path / "out.safetensors", layout, "sd15")


def test_diffusers_loads_comfyuis_layout_of_flux(flux: Load, flux_pipeline: FluxPipeline, tmp_path: Path) -> None:
    trained = adapt(flux(), SPECS["rank_stabilised"])
    source = save(trained, SPECS["rank_stabilised"], tmp_path / "source.safetensors", "transformer")
    export_adapter(source, tmp_path / "out.safetensors", "comfyui", "flux")
    flux_pipeline.load_lora_weights(tmp_path, weight_name="out.safetensors")
    torch.testing.assert_close(predict(flux_pipeline.transformer), predict(trained), rtol=1e-5, atol=1e-5)


# --- the header --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["kohya", "comfyui", "delta"])
def test_where_an_adapter_comes_from_goes_along(tmp_path: Path, layout: str) -> None:
    unet = tiny_unet("sd15")
    spec = SPECS["rank_stabilised"]
    source = save(adapt(unet, spec, attention_linears(unet)), spec, tmp_path / "source.safetensors", "unet")
    export_adapter(source, tmp_path / "one.safetensors", layout, "sd15")
    export_adapter(source, tmp_path / "two.safetensors", layout, "sd15")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    told = header_of(tmp_path / "one.safetensors")
    assert (told["director"], told["layout"]) == ("nolan", layout)
    assert "lora_adapter_metadata" not in told
    assert ("ss_network_dim" in told) == (layout == "kohya")
    if layout == "kohya":
        assert (told["ss_network_dim"], float(told["ss_network_alpha"])) == ("4", 12)  # 6 / √4 · 4


def test_an_export_is_loaded_as_strong_as_it_is(flux: Load, tmp_path: Path) -> None:
    """ComfyUI's layout of Flux has diffusers' names: read again, its alphas count."""
    trained = adapt(flux(), SPECS["rank_stabilised"])
    source = save(trained, SPECS["rank_stabilised"], tmp_path / "source.safetensors", "transformer")
    export_adapter(source, tmp_path / "out.safetensors", "comfyui", "flux")
    again = deltas(tmp_path / "out.safetensors")
    for module, change in deltas(source).items():
        torch.testing.assert_close(again[module], change, rtol=1e-6, atol=1e-7)
    lokr = save(adapt(flux(), SPECS["lokr"]), SPECS["lokr"], tmp_path / "lokr.safetensors", "transformer")
    export_adapter(lokr, tmp_path / "out.safetensors", "comfyui", "flux")
    loaded, expected = flux(), flux()
    load_adapter(loaded, tmp_path / "out.safetensors")
    load_adapter(expected, lokr)
    assert torch.equal(predict(loaded), predict(expected))
