"""A new adapter in a denoiser: how much of it there is, what it starts as, and what it is called."""

from collections.abc import Callable

import pytest
import torch
from diffusers import FluxTransformer2DModel

from director_diffusion.adapters.injection import (
    adapter_parameters,
    adapter_weights,
    inject_adapter,
    linears,
    set_adapter_weights,
)
from director_diffusion.errors import ModelError
from director_diffusion.specs import Adapter, LokrAdapter, LoraAdapter
from tests.adapters.adapted import KINDS, SPECS, adapt, attention_linears, block_linears, predict
from tests.families.unets import real_unet

Load = Callable[[], FluxTransformer2DModel]


@pytest.mark.parametrize(
    ("spec", "trainable"),
    [
        (LoraAdapter(kind="lora", rank=4, alpha=4), 5_806_080),
        (LokrAdapter(kind="lokr", factor=(4, 64)), 3_874_560),
        (LokrAdapter(kind="lokr", factor=(64, 8)), 2_152_320),
        (LokrAdapter(kind="lokr", factor=(16, 64)), 1_506_240),
    ],
)
def test_trainable_weights_of_the_real_sdxl(spec: Adapter, trainable: int) -> None:
    unet = real_unet("sdxl")
    targets = attention_linears(unet)
    assert len(targets) == 560
    inject_adapter(unet, spec, targets)
    assert sum(parameter.numel() for parameter in adapter_parameters(unet).values()) == trainable


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_it_starts_as_nothing_and_is_all_that_learns(flux: Load, spec: Adapter) -> None:
    transformer = flux()
    base = predict(transformer)
    inject_adapter(transformer, spec, block_linears(transformer))
    torch.testing.assert_close(predict(transformer), base, rtol=1e-5, atol=1e-5)
    learning = adapter_parameters(transformer)
    assert all("lora_" in name or "lokr_" in name for name in learning)
    assert all(parameter.dtype == torch.float32 for parameter in learning.values())


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_the_same_seed_gives_the_same_adapter(flux: Load, spec: Adapter) -> None:
    def weights(seed: int) -> list[torch.Tensor]:
        transformer = flux()
        torch.manual_seed(seed)
        inject_adapter(transformer, spec, block_linears(transformer))
        return list(adapter_weights(transformer).values())

    assert all(map(torch.equal, weights(1), weights(1)))
    assert not all(map(torch.equal, weights(1), weights(2)))


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_weights_are_the_parameters_in_their_order(flux: Load, spec: Adapter) -> None:
    """So that one can be filled from the other."""
    transformer = adapt(flux(), spec)
    weights, parameters = adapter_weights(transformer), adapter_parameters(transformer)
    assert all(map(torch.equal, weights.values(), parameters.values()))
    assert len(weights) == len(parameters)
    assert all(name.split(".lo")[0] in block_linears(transformer) for name in weights)


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_weights_of_one_can_be_given_to_another(flux: Load, spec: Adapter) -> None:
    one, other = adapt(flux(), spec, seed=1), adapt(flux(), spec, seed=2)
    assert not torch.allclose(predict(one), predict(other), atol=1e-2)
    learning = list(adapter_parameters(other).values())
    set_adapter_weights(other, adapter_weights(one))
    assert all(a is b for a, b in zip(learning, adapter_parameters(other).values(), strict=True))  # an optimizer's too
    assert torch.equal(predict(one), predict(other))


def test_weights_of_another_size_are_refused(flux: Load) -> None:
    transformer = adapt(flux(), SPECS["lora"])
    larger = adapter_weights(adapt(flux(), LoraAdapter(kind="lora", rank=8, alpha=4)))
    before = {name: weight.clone() for name, weight in adapter_weights(transformer).items()}
    with pytest.raises(ModelError, match="are not of this adapter: 74 of them differ"):
        set_adapter_weights(transformer, larger)
    with pytest.raises(ModelError, match="are not of this adapter: 1 of them differ"):
        set_adapter_weights(transformer, dict(list(before.items())[1:]))
    assert all(map(torch.equal, adapter_weights(transformer).values(), before.values()))


@pytest.mark.parametrize("spec", [SPECS["lora"], SPECS["lokr"]], ids=["lora", "lokr"])
def test_targets_that_are_no_linears_are_refused(flux: Load, spec: Adapter) -> None:
    transformer = flux()
    targets = [*block_linears(transformer)[:3], "transformer_blocks.0.attn.to_z"]
    with pytest.raises(ModelError, match=r"1 linears differ, as 'transformer_blocks\.0\.attn\.to_z'"):
        inject_adapter(transformer, spec, targets)


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
def test_linears_are_the_bases_own_whether_adapted_or_not(flux: Load, spec: Adapter) -> None:
    transformer = flux()
    before = {name: linear.weight for name, linear in linears(transformer)}
    adapt(transformer, spec)
    after = {name: linear.weight for name, linear in linears(transformer)}
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
