"""A LoKr as a LoRA: the very adapter, or as near to it as is told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from safetensors.torch import load_file

from director_diffusion.adapters.export import export_adapter
from director_diffusion.adapters.reduction import reduce_to_lora
from director_diffusion.errors import ModelError
from director_diffusion.specs import LokrAdapter
from tests.adapters.adapted import SPECS, adapt, deltas, header_of, predict, save, tiny_unet, unet_pipeline

Load = Callable[[], FluxTransformer2DModel]
UNETS = ["sd15", "sdxl"]


@pytest.mark.parametrize("shapes", [((4, 6), (5, 3)), ((2, 3), (8, 7)), ((1, 4), (6, 1))])
@pytest.mark.parametrize("rank", [1, 3, 7, None])
def test_it_is_the_best_of_its_rank_and_tells_the_error(
    shapes: tuple[tuple[int, int], tuple[int, int]], rank: int | None
) -> None:
    torch.manual_seed(0)
    a, b = (torch.randn(shape) for shape in shapes)
    reduced = reduce_to_lora(a, b, rank)
    change = torch.kron(a.double(), b.double())
    values = torch.linalg.svdvals(change)
    own = min(*shapes[0]) * min(*shapes[1])
    kept = min(rank or own, own)
    assert reduced.down.shape == (kept, change.shape[1])
    assert reduced.up.shape == (change.shape[0], kept)
    left = change - reduced.up.double() @ reduced.down.double()
    torch.testing.assert_close(left.norm(), values[kept:].norm(), rtol=1e-5, atol=1e-5)
    assert reduced.relative_error == pytest.approx((left.norm() / change.norm()).item(), rel=1e-4, abs=1e-6)


def test_a_lower_rank_is_seen() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(4, 2) @ torch.randn(2, 6), torch.randn(5, 1) @ torch.randn(1, 3)
    reduced = reduce_to_lora(a, b, None)
    assert reduced.down.shape == (2, 18)
    torch.testing.assert_close(reduced.up @ reduced.down, torch.kron(a, b), rtol=1e-4, atol=1e-5)


def test_nothing_becomes_nothing() -> None:
    reduced = reduce_to_lora(torch.randn(4, 6), torch.zeros(5, 3), None)
    assert reduced.down.shape == (1, 18)
    assert not (reduced.up @ reduced.down).any()
    assert reduced.relative_error == 0


# --- in a file ---------------------------------------------------------------------------------------------------


def test_a_lokr_of_its_own_rank_is_the_very_adapter(flux: Load, flux_pipeline: FluxPipeline, tmp_path: Path) -> None:
    trained = adapt(flux(), SPECS["lokr"])
    source = save(trained, SPECS["lokr"], tmp_path / "source.safetensors", "transformer")
    report = export_adapter(source, tmp_path / "out.safetensors", "lora", "flux")
    assert report.error < 1e-6
    assert report.rank == 4 * 40  # that of ff.net.2, whose B is (40, 40)
    flux_pipeline.load_lora_weights(tmp_path, weight_name="out.safetensors")
    torch.testing.assert_close(predict(flux_pipeline.transformer), predict(trained), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", UNETS)
@pytest.mark.parametrize("layout", [None, "kohya"])
def test_every_linear_may_have_a_rank_of_its_own(tmp_path: Path, family: str, layout: str | None) -> None:
    spec = LokrAdapter(kind="lokr", factor=(8, 6))
    trained = adapt(tiny_unet(family), spec)
    source = save(trained, spec, tmp_path / "source.safetensors", "unet")
    export_adapter(source, tmp_path / "out.safetensors", "lora", family)
    ranks = {tensor.shape[0] for name, tensor in load_file(tmp_path / "out.safetensors").items() if "lora_A" in name}
    assert len(ranks) > 1
    if layout is not None:
        export_adapter(tmp_path / "out.safetensors", tmp_path / "again.safetensors", layout, family)
    pipeline = unet_pipeline(family)
    pipeline.load_lora_weights(tmp_path, weight_name="again.safetensors" if layout else "out.safetensors")
    torch.testing.assert_close(predict(pipeline.unet), predict(trained), rtol=1e-4, atol=1e-5)


def test_the_error_is_told(tmp_path: Path) -> None:
    spec = SPECS["lokr"]
    source = save(adapt(tiny_unet("sdxl"), spec), spec, tmp_path / "source.safetensors", "unet")
    report = export_adapter(source, out := tmp_path / "out.safetensors", "lora", "sdxl", rank=3)
    reduced, whole = deltas(out), deltas(source)
    for module, error in report.errors.items():
        left = whole[module] - reduced[module]
        assert (left.norm() / whole[module].norm()).item() == pytest.approx(error, rel=1e-4)
    together = sum((whole[module] - reduced[module]).square().sum() for module in whole)
    assert report.error == pytest.approx((together / sum(w.square().sum() for w in whole.values())).sqrt().item())
    assert 0.1 < report.error < 1
    told = json.loads(header_of(out)["reduction"])
    assert told == {"rank": 3, "relative_error": report.error, "relative_errors": dict(report.errors)}
    assert LokrAdapter.model_validate_json(header_of(out)["reduced_from"]) == spec


def test_a_lora_is_not_reduced(tmp_path: Path) -> None:
    source = save(adapt(tiny_unet("sd15"), SPECS["lora"]), SPECS["lora"], tmp_path / "source.safetensors", "unet")
    with pytest.raises(ModelError, match="is not reduced to a LoRA"):
        export_adapter(source, tmp_path / "out.safetensors", "lora", "sd15")
