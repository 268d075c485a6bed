"""LoRA's linear of one autograd node: what peft computes, with less kept for the backward pass."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from director_diffusion.adapters.low_rank import LowRankLinear, low_rank_linear

OURS = "_LowRankBackward"


def layer(ours: bool = True, *, dtype: torch.dtype = torch.float32, bias: bool = True, **settings: Any) -> nn.Module:
    """A frozen linear, 12 → 20, in an adapter whose weights are random and float32."""
    torch.manual_seed(3)
    linear = nn.Linear(12, 20, bias=bias, dtype=dtype).requires_grad_(False)
    config = LoraConfig(r=4, lora_alpha=6, target_modules=["0"], **settings)
    if ours:
        config._register_custom_module({nn.Linear: low_rank_linear})
    model = inject_adapter_in_model(config, nn.Sequential(linear), "default")
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.rand(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return model[0]


def features(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7)).to(dtype).requires_grad_()


def learned(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """Gradients of x, A and B, where y asks for uneven things of its entries."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return list(torch.autograd.grad((y.float() * torch.linspace(-1, 2, y.numel()).view_as(y)).sum(), [x, *weights]))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (2, 7), (2, 3, 4)])
def test_it_computes_what_peft_does(shape: tuple[int, ...], bias: bool) -> None:
    outcomes = []
    for ours in (True, False):
        model, x = layer(ours, bias=bias), features(*shape, 12)
        y = model(x)
        assert (y.grad_fn.name() == OURS) is ours
        outcomes.append([y, *learned(model, x, y)])
    for mine, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("autocast", [False, True])
def test_it_compiles_whole(autocast: bool) -> None:
    """With its gradients; under autocast as a training has it: weights in bfloat16, LoRA in float32."""
    outcomes = []
    for compiled in (True, False):
        model, x = layer(dtype=torch.bfloat16 if autocast else torch.float32), features(2, 7, 12)
        called = torch.compile(model, fullgraph=True, backend="aot_eager") if compiled else model
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = called(x)
        outcomes.append([y, *learned(model, x, y)])
    assert outcomes[1][0].grad_fn.name() == OURS
    for whole, plain in zip(*outcomes, strict=True):
        assert whole.dtype == plain.dtype
        torch.testing.assert_close(whole, plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["features in float32", "features in bfloat16"])
def test_under_autocast_it_is_as_close_to_the_exact_answer_as_peft_s(dtype: torch.dtype) -> None:
    outcomes = {}
    for ours in (True, False):
        model, x = layer(ours, dtype=torch.bfloat16), features(64, 12, dtype=torch.bfloat16).to(dtype)
        x = x.detach().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = model(x)
        assert (y.grad_fn.name() == OURS) is ours
        outcomes[ours] = [y, *learned(model, x, y)]
    model, x = layer(ours=False, dtype=torch.bfloat16).double(), features(64, 12, dtype=torch.bfloat16).double()
    x = x.detach().requires_grad_()
    y = model(x)
    for exact, mine, theirs in zip([y, *learned(model, x, y)], outcomes[True], outcomes[False], strict=True):
        assert mine.dtype == theirs.dtype
        assert (mine - exact).norm() <= 1.5 * (theirs - exact).norm()  # where a rounding falls is chance


def test_it_keeps_its_features_and_a_rank_of_numbers_for_each_token() -> None:
    model, x, kept = layer(dtype=torch.bfloat16), features(64, 12, dtype=torch.bfloat16), {}

    def keep(tensor: Tensor) -> Tensor:
        if 64 in tensor.shape:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autocast("cpu", torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        model(x)
    assert sum(kept.values()) == 64 * (12 + 4) * 2


def test_features_that_ask_for_no_gradient_get_none() -> None:
    model, x = layer(), features(6, 12)
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    without = torch.autograd.grad(model(x.detach()).square().sum(), weights)
    for one, other in zip(without, torch.autograd.grad(model(x).square().sum(), weights), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"lora_dropout": 0.5}, {"lora_bias": True}], ids=str)
def test_what_is_more_than_a_plain_lora_is_left_to_peft(settings: dict[str, Any]) -> None:
    x, outcomes = features(6, 12), []
    for ours in (True, False):
        model = layer(ours, **settings)
        assert isinstance(model, LowRankLinear) is ours
        torch.manual_seed(0)  # dropout's
        y = model(x)
        assert OURS not in y.grad_fn.name()
        outcomes.append(y)
    assert torch.equal(*outcomes)


def test_switched_off_or_merged_it_is_the_linear() -> None:
    model, x = layer(), features(6, 12)
    adapted = model(x).detach()
    model.enable_adapters(False)
    assert torch.equal(model(x), model.base_layer(x))
    model.enable_adapters(True)
    model.merge()
    assert torch.equal(model(x), model.base_layer(x))
    torch.testing.assert_close(model(x), adapted)


def test_without_autocast_an_adapter_of_another_dtype_is_peft_s() -> None:
    model, x = layer(dtype=torch.bfloat16), features(6, 12)
    assert torch.equal(model(x.bfloat16()), layer(ours=False, dtype=torch.bfloat16)(x.bfloat16()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_judged_and_drawn_with_it_is_peft_s_to_the_bit(dtype: torch.dtype) -> None:
    """As people who load the file will have it: the check that a file reloads compares the two."""
    x = features(64, 12, dtype=dtype)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        assert torch.equal(layer(dtype=dtype)(x), layer(ours=False, dtype=dtype)(x))
