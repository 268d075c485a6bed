"""Stacks: every layer is W + the sum of its adapters' ΔW, each at its strength, in whatever order they lie."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import linear

from director_diffusion.adapters.files import load_adapter, remove_adapter
from director_diffusion.adapters.injection import linears
from director_diffusion.adapters.merging import base_weights
from director_diffusion.adapters.stacking import beside_others, load_stack
from tests.adapters.adapted import KINDS, adapt, block_linears, deltas, predict, save


@pytest.fixture(scope="module")
def kept(loaded_flux: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that gives the file of an adapter by kind and number, with ΔW at a strength."""
    folder = tmp_path_factory.mktemp("stacks")

    def made(kind: str, number: int, strength: float = 1.0) -> Path:
        path = folder / f"{kind}-{number}-{strength}.safetensors"
        if not path.exists():
            targets = block_linears(loaded_flux)[: None if number else 20]
            save(adapt(deepcopy(loaded_flux), KINDS[kind], targets, seed=number), KINDS[kind], path, strength=strength)
        return path

    return made


def differing(denoiser: Any, base: Any, files: list[Path]) -> float:
    """How far a layer's output is from that of W + ΣΔW at most, beside what ΣΔW does."""
    weights, found = base_weights(base), [deltas(path, base) for path in files]
    biases = {name: layer.bias for name, layer in linears(base)}
    worst = 0.0
    for place, (name, layer) in enumerate(linears(denoiser)):
        if not any(name in one for one in found) or place % 5:
            continue
        x = torch.randn(3, layer.in_features, generator=torch.Generator().manual_seed(place))
        w = weights[name]
        plain = linear(x, w, biases[name])
        expected = linear(x, w + sum(one[name] for one in found if name in one), biases[name])
        with torch.no_grad():
            worst = max(worst, ((layer(x) - expected).abs().max() / (expected - plain).abs().max()).item())
    return worst


@pytest.mark.parametrize(
    "stack",
    [
        ("lora", "lora"),
        ("dora", "lora"),
        ("lora", "dora"),
        ("dora", "dora"),
        ("lokr", "dora"),
        ("dora", "lokr", "lora", "dora"),
    ],
    ids="+".join,
)
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_deltas_add_up(flux: Any, kept: Any, stack: tuple[str, ...], strength: float) -> None:
    base, denoiser = flux(), flux()
    paths = [kept(kind, place) for place, kind in enumerate(stack)]
    load_stack(denoiser, paths, [1.0] * (len(paths) - 1) + [strength])
    scaled = [*paths[:-1], kept(stack[-1], len(stack) - 1, strength)]
    assert differing(denoiser, base, scaled) < 1e-4
    remove_adapter(denoiser)
    assert torch.equal(predict(denoiser), predict(base)), "nothing is left behind"


def test_above_what_is_worn_already_too(flux: Any, kept: Any) -> None:
    base, denoiser = flux(), flux()
    others, own = kept("lora", 1), kept("dora", 2)
    load_adapter(denoiser, others, name="stock")
    load_stack(denoiser, [own])
    assert differing(denoiser, base, [others, own]) < 1e-4


@pytest.mark.parametrize("above", [(), ("lora",)], ids=["alone", "below a LoRA"])
def test_a_dora_that_lies_lowest_is_pefts_own_to_the_last_bit(flux: Any, kept: Any, above: tuple[str, ...]) -> None:
    stacked, loaded = flux(), flux()
    paths = [kept("dora", 0), *(kept(kind, 1) for kind in above)]
    load_stack(stacked, paths)
    with beside_others():
        for place, path in enumerate(paths):
            load_adapter(loaded, path, name=f"layer_{place}")
    loaded.set_adapters([f"layer_{place}" for place in range(len(paths))])
    assert torch.equal(predict(stacked), predict(loaded))
