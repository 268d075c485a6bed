"""LoKr: a linear layer with a Kronecker product beside it, computed with the factors.

Belongs here: the layer, the factors' shapes and what they start from.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shapes = tuple[tuple[int, int], tuple[int, int]]
"""Of A (p, q) and B (r, s): A ⊗ B is (p·r, q·s)."""

_LIKE_RANK = 48


def kronecker_shapes(out_features: int, in_features: int, factor: tuple[int, int]) -> Shapes:
    """Shapes of A and B.  A has `factor`'s rows and columns, or the largest divisors of the linear's sides below."""
    p, q = _largest_divisor(out_features, factor[0]), _largest_divisor(in_features, factor[1])
    return (p, q), (out_features // p, in_features // q)


def _largest_divisor(side: int, most: int) -> int:
    return next(divisor for divisor in range(min(side, most), 0, -1) if side % divisor == 0)


def kronecker_product_apply(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """(A ⊗ B) x for x (…, q·s), A (p, q) and B (r, s): (…, p·r).

    With X the rows of x, (q, s), that is A X Bᵀ row by row (Van Loan 2000, eq. 2), in whichever order takes fewer
    multiplications: p·s·(q + r) or q·r·(s + p).
    """
    (p, q), (r, s) = a.shape, b.shape
    rows = x.unflatten(-1, (q, s))
    if p * s * (q + r) < q * r * (s + p):
        return F.linear(F.linear(rows.mT, a).mT, b).flatten(-2)
    return F.linear(F.linear(rows, b).mT, a).mT.flatten(-2)


class KroneckerLinear(nn.Module):
    """A frozen linear layer, W x + bias + (A ⊗ B) dropout(x).

    It calls the layer that it wraps and reads its features' numbers, so that one in 4 bits will do.  ΔW = A ⊗ B never
    exists, nor does anything of its size.  `lokr_w1` is A (p, q) and `lokr_w2` is B (r, s), as LyCORIS names them.
    """

    def __init__(self, base_layer: nn.Linear, shapes: Shapes, *, dropout: float = 0.0, dtype: torch.dtype):
        """ΔW starts as 0, with A from torch's generator for the CPU."""
        super().__init__()
        self.base_layer = base_layer
        self.in_features, self.out_features = base_layer.in_features, base_layer.out_features
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        device = base_layer.weight.device
        self.lokr_w1 = nn.Parameter(_first_factor(shapes).to(device, dtype))
        self.lokr_w2 = nn.Parameter(torch.zeros(shapes[1], device=device, dtype=dtype))

    @property
    def weight(self) -> Tensor:
        """The wrapped layer's own: diffusers reads its dtype and device."""
        return self.base_layer.weight

    @property
    def bias(self) -> Tensor | None:
        """The wrapped layer's own."""
        return self.base_layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out), in the wrapped layer's dtype.  Without autocast, ΔW x is computed in the factors'."""
        y = self.base_layer(x)
        x = self.dropout(x)
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(self.lokr_w1.dtype)
        return y + kronecker_product_apply(self.lokr_w1, self.lokr_w2, x).to(y.dtype)

    def extra_repr(self) -> str:
        return f"A={tuple(self.lokr_w1.shape)}, B={tuple(self.lokr_w2.shape)}"


def _first_factor(shapes: Shapes) -> Tensor:
    """A, float32: uniform around 0, with the spread that gives all layers the same step.

    B starts as 0 and its first AdamW step is ±lr in every entry, so an output moves by about lr · Σ_l |(A X)_l| over
    the s columns of B: lr · s · σ(A X), and 1/√p of that since p rows of A X share B and want different things of it.
    LoRA's moves by lr · r · σ(A x) at alpha = r, with σ(A x) = 1/√3 by the usual start of A (He et al. 2015, as peft
    and LyCORIS use it).  LyCORIS' LoKr has σ(A X) = 1/√3 too, and so learns like a LoRA of rank s/√p: from 2 to 100
    within one model, so that one learning rate is too low for some of its layers and too high for others (steps that
    do not depend on width: Yang et al. 2022; LoRA's: Hayou et al. 2024).  This spread makes each like one of rank 48.

    The number is measured (benchmarks/adapter_quality.py): on the mini base, at LoRA's own learning rate, factors of
    (5, 10) and (5, 5) come to the style effect of a LoRA of rank 8; with 32 they kept 85 and 81 % of it, in the first
    12 and 6 of 15 trainings.
    """
    (p, q), (_, s) = shapes
    bound = _LIKE_RANK * math.sqrt(p) / (s * math.sqrt(q))
    with torch.device("cpu"):
        return torch.empty(p, q).uniform_(-bound, bound)
