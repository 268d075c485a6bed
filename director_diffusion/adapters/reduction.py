"""Reduction: a LoKr as the LoRA that comes closest to it.

Belongs here: the singular values and vectors of a Kronecker product, from those of its factors.  ΔW never exists.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_NUMERICALLY_ZERO = torch.finfo(torch.float32).eps  # of the largest singular value: below what the factors resolve


@dataclass(frozen=True)
class Reduced:
    """A LoRA near ΔW, float32, and how near."""

    down: Tensor  # (rank, in)
    up: Tensor  # (out, rank)
    lost: float  # ‖ΔW - up · down‖², Frobenius
    whole: float  # ‖ΔW‖²

    @property
    def relative_error(self) -> float:
        """‖ΔW - up · down‖ / ‖ΔW‖, 0 where ΔW is 0."""
        return (self.lost / self.whole) ** 0.5 if self.whole else 0.0


def reduce_to_lora(a: Tensor, b: Tensor, rank: int | None) -> Reduced:
    """The best approximation of A ⊗ B of a rank (Eckart and Young 1936); None: the rank that A ⊗ B has.

    With A = Σ σ_i u_i v_iᵀ and B = Σ τ_j x_j y_jᵀ, the triplets of A ⊗ B are (σ_i τ_j, u_i ⊗ x_j, v_i ⊗ y_j) (Van Loan
    2000, section 2).  Where A ⊗ B has a lower rank than was asked for, that is taken; at least 1.
    """
    u, sigma, v = torch.linalg.svd(a.double(), full_matrices=False)
    x, tau, y = torch.linalg.svd(b.double(), full_matrices=False)
    values, order = torch.outer(sigma, tau).flatten().sort(descending=True, stable=True)
    own = int((values > _NUMERICALLY_ZERO * values[0]).sum())
    kept = max(1, min(own, rank or own))
    i, j = order[:kept] // len(tau), order[:kept] % len(tau)
    root = values[:kept].sqrt()
    up = torch.einsum("pk,rk->prk", u[:, i], x[:, j]).flatten(0, 1) * root
    down = torch.einsum("kq,ks->kqs", v[i], y[j]).flatten(1) * root[:, None]
    squares = values.square()
    return Reduced(down.float(), up.float(), squares[kept:].sum().item(), squares.sum().item())
