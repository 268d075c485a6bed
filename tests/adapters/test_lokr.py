"""The Kronecker layer: held to torch.kron, which it never calls."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from director_diffusion.adapters.lokr import KroneckerLinear, Shapes, kronecker_product_apply, kronecker_shapes

SHAPES = [((4, 6), (3, 5)), ((2, 8), (16, 2)), ((1, 1), (6, 7)), ((12, 1), (1, 10)), ((3, 16), (2, 1))]


def filled(shapes: Shapes, *, bias: bool = True, **options: Any) -> KroneckerLinear:
    """A layer with nothing at 0."""
    torch.manual_seed(0)
    (p, q), (r, s) = shapes
    base = nn.Linear(q * s, p * r, bias=bias).requires_grad_(False)
    layer = KroneckerLinear(base, shapes, **{"dtype": torch.float32, **options})
    nn.init.normal_(layer.lokr_w2)
    return layer


def by_definition(layer: KroneckerLinear, x: Tensor) -> Tensor:
    return layer.base_layer(x) + x @ torch.kron(layer.lokr_w1, layer.lokr_w2).T


@pytest.mark.parametrize(
    ("sides", "factor", "expected"),
    [
        ((640, 640), (4, 64), ((4, 64), (160, 10))),
        ((640, 2048), (16, 64), ((16, 64), (40, 32))),
        ((1280, 1280), (64, 8), ((64, 8), (20, 160))),
        ((160, 90), (64, 64), ((40, 45), (4, 2))),  # the largest divisors below 64
        ((7, 13), (4, 12), ((1, 1), (7, 13))),
        ((3, 8), (16, 16), ((3, 8), (1, 1))),
    ],
)
def test_a_fits_as_far_as_the_linear_divides(sides: tuple[int, int], factor: tuple[int, int], expected: Shapes) -> None:
    assert kronecker_shapes(*sides, factor) == expected


@pytest.mark.parametrize("shapes", SHAPES)
def test_it_is_the_mathematical_product(shapes: Shapes) -> None:
    layer = filled(shapes).double()
    x = torch.randn(2, 3, layer.in_features, dtype=torch.float64, requires_grad=True)
    inputs = (x, layer.lokr_w1, layer.lokr_w2)
    weights = torch.randn(2, 3, layer.out_features, dtype=torch.float64)
    y, expected = layer(x), by_definition(layer, x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(
        torch.autograd.grad((y * weights).sum(), inputs), torch.autograd.grad((expected * weights).sum(), inputs)
    )


@pytest.mark.parametrize("shapes", SHAPES)
def test_in_single_precision_too(shapes: Shapes) -> None:
    layer = filled(shapes)
    x = torch.randn(5, layer.in_features)
    torch.testing.assert_close(layer(x), by_definition(layer, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shapes", [((4, 8), (24, 16)), ((32, 4), (3, 32))])
def test_nothing_of_the_changes_size_is_made(shapes: Shapes) -> None:
    """Neither forward nor backward; the product by definition is seen to make it."""

    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            sizes = (leaf.numel() for leaf in tree_leaves(made) if isinstance(leaf, Tensor))
            self.size = max(self.size, *sizes, 0)
            return made

    def largest(product: Callable[[Tensor], Tensor]) -> int:
        with Largest() as seen:
            torch.autograd.grad(product(x).square().sum(), (x, layer.lokr_w1, layer.lokr_w2))
        return seen.size

    layer = filled(shapes)
    x = torch.randn(2, layer.in_features, requires_grad=True)
    change = layer.in_features * layer.out_features
    assert largest(lambda x: kronecker_product_apply(layer.lokr_w1, layer.lokr_w2, x)) < change / 4
    assert largest(lambda x: x @ torch.kron(layer.lokr_w1, layer.lokr_w2).T) >= change


def test_both_orders_are_taken_and_each_is_the_cheaper_one() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.randn(10, 64)
    for (p, q), (r, s) in (((2, 32), (64, 2)), ((64, 2), (2, 32)), ((8, 8), (8, 8))):
        with FlopCounterMode(display=False) as counter:
            kronecker_product_apply(torch.randn(p, q), torch.randn(r, s), x)
        assert counter.get_total_flops() == 2 * 10 * min(p * s * (q + r), q * r * (s + p))


def test_autocast_computes_in_bfloat16_and_learns_in_single() -> None:
    layer = filled(((4, 8), (6, 10)))
    x = torch.randn(4, 80)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), by_definition(layer, x), rtol=0.05, atol=0.15)
    y.float().sum().backward()
    assert layer.lokr_w1.grad is not None
    assert layer.lokr_w1.grad.dtype == torch.float32


def test_single_precision_factors_beside_a_bfloat16_layer() -> None:
    layer = filled(((4, 8), (6, 10)))
    layer.base_layer.bfloat16()
    x = torch.randn(4, 80, dtype=torch.bfloat16)
    y = layer(x)
    assert y.dtype == layer.weight.dtype == torch.bfloat16
    change = kronecker_product_apply(layer.lokr_w1, layer.lokr_w2, x.float())
    assert torch.equal(y, layer.base_layer(x) + change.bfloat16())


def test_computing_again_gives_the_same_gradients() -> None:
    layer = filled(((4, 8), (6, 10)))
    x = torch.randn(4, 80, requires_grad=True)
    inputs = (x, layer.lokr_w1, layer.lokr_w2)
    again = torch.autograd.grad(checkpoint(layer, x, use_reentrant=False).square().sum(), inputs)
    assert all(map(torch.equal, again, torch.autograd.grad(layer(x).square().sum(), inputs)))


def test_it_compiles_whole() -> None:
    layer = filled(((4, 8), (6, 10)), dropout=0.1).eval()
    x = torch.randn(4, 80)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), layer(x))


def test_dropout_leaves_the_wrapped_layer_alone() -> None:
    layer = filled(((4, 8), (6, 10)), dropout=0.5)
    x = torch.randn(4, 80)
    torch.manual_seed(3)
    dropped = layer(x) - layer.base_layer(x)
    torch.manual_seed(3)
    expected = kronecker_product_apply(layer.lokr_w1, layer.lokr_w2, nn.functional.dropout(x, 0.5))
    torch.testing.assert_close(dropped, expected, rtol=1e-5, atol=1e-5)
    layer.eval()
    torch.testing.assert_close(layer(x), by_definition(layer, x), rtol=1e-5, atol=1e-5)


@pytest.mark.quantised
def test_a_linear_in_4_bits_will_do() -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    base = nn.Linear(128, 64)
    quantised = bitsandbytes.nn.Linear4bit(128, 64, quant_type="nf4", compute_dtype=torch.float32)
    quantised.load_state_dict(base.state_dict())
    quantised = quantised.to("cpu").requires_grad_(False)
    layer = KroneckerLinear(quantised, ((4, 8), (16, 16)), dtype=torch.float32)
    nn.init.normal_(layer.lokr_w2)
    x = torch.randn(3, 128)
    expected = quantised(x) + x @ torch.kron(layer.lokr_w1, layer.lokr_w2).T
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(quantised(x), base(x), atol=1e-3)  # it is in 4 bits indeed


@pytest.mark.parametrize("factor", [(4, 16), (16, 4), (16, 16), (2, 64)])
@pytest.mark.parametrize("sides", [(160, 160), (640, 160), (160, 800)])
def test_the_first_step_moves_outputs_as_a_lora_of_rank_48_does(
    sides: tuple[int, int], factor: tuple[int, int]
) -> None:
    """Of whatever factors and linear, so that one learning rate serves all."""

    def first_step(product: Callable[[], Tensor], learns: Tensor) -> float:
        """How far an output moves where it should, by an AdamW step on what starts at 0; in learning rates."""
        (gradient,) = torch.autograd.grad((product() * wanted).mean(), learns)
        with torch.no_grad():
            learns.add_(gradient.sign())
            return (product() * wanted).mean().item()

    torch.manual_seed(0)
    out_features, in_features = sides
    x, wanted = torch.randn(1, in_features), torch.randn(1, out_features)
    layer = KroneckerLinear(
        nn.Linear(in_features, out_features),
        kronecker_shapes(out_features, in_features, factor),
        dtype=torch.float32,
    )
    down, up = nn.Linear(in_features, 48, bias=False).weight, torch.zeros(out_features, 48, requires_grad=True)
    lora = first_step(lambda: x @ down.T @ up.T, up)
    lokr = first_step(lambda: kronecker_product_apply(layer.lokr_w1, layer.lokr_w2, x), layer.lokr_w2)
    assert 0.5 < lokr / lora < 2
