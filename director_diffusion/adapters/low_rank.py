"""LoRA's linear layer with one autograd node: peft's own in what it is and computes, cheaper in time and memory.

Belongs here: the arithmetic, and when it may stand in for peft's.
"""

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _LowRank(torch.autograd.Function):
    """y = x Wᵀ + bias + s (x Aᵀ) Bᵀ (Hu et al. 2021, eq. 3), where only x, A and B have gradients.

    What is kept for the backward pass is x, which any linear layer with a gradient keeps, and A xᵀ as (rank, tokens):
    products with a flat matrix on the left are up to five times as fast on a CPU as the transposed ones that autograd
    derives.  A and B are cast to x's dtype, never x to theirs.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        low = a.to(x.dtype) @ rows.t()  # (rank, tokens)
        y = rows @ weight.t() if bias is None else torch.addmm(bias, rows, weight.t())
        y.addmm_(low.t(), b.to(x.dtype).t(), alpha=scale)
        ctx.save_for_backward(rows, low, weight, a, b)
        ctx.scale = scale
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, Tensor, Tensor, None]:
        rows, low, weight, a, b = ctx.saved_tensors
        grads = grad.reshape(-1, grad.shape[-1])
        back = b.to(grad.dtype).t() @ grads.t()  # (rank, tokens)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (grads @ weight).addmm_(back.t(), a.to(grad.dtype), alpha=ctx.scale).view(*grad.shape[:-1], -1)
        of_a = (back @ rows).to(a.dtype).mul(ctx.scale)
        of_b = (low @ grads).t().to(b.dtype).mul(ctx.scale)
        return of_x, None, None, of_a, of_b, None


class LowRankLinear(Linear):
    """peft's LoRA layer: one plain LoRA over a frozen linear of one dtype takes the one node, all else is peft's."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(…, in) → (…, out), in the wrapped layer's dtype.

        The one node where autocast's dtype, or else the LoRA's, is the layer's, and where gradients are asked for:
        while it is judged or drawn with, an adapter is rounded as it will be once people load it with peft.
        """
        if args or kwargs or not torch.is_grad_enabled() or not self._is_plain():
            return super().forward(x, *args, **kwargs)
        base, name = self.base_layer, self.active_adapters[0]
        a, b = self.lora_A[name].weight, self.lora_B[name].weight
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else a.dtype
        if base.weight.dtype != dtype:
            return super().forward(x)
        return _LowRank.apply(x.to(dtype), base.weight, base.bias, a, b, self.scaling[name])

    def _is_plain(self) -> bool:
        """Whether the layer is W, a bias and one LoRA's A and B, switched on and beside W."""
        if self.disable_adapters or self.merged or len(self.active_adapters) != 1:
            return False
        name = self.active_adapters[0]
        return (
            name in self.lora_A
            and name not in self.lora_variant
            and type(self.base_layer) is nn.Linear
            and not self.base_layer.weight.requires_grad
            and isinstance(self.lora_dropout[name], nn.Identity)
            and not self.lora_bias[name]
        )


def low_rank_linear(target: nn.Module, adapter_name: str, **kwargs: Any) -> LowRankLinear | None:
    """What peft is to put around a linear; None leaves it to peft (4 bits, and layers that are adapted already)."""
    return LowRankLinear(target, adapter_name, **kwargs) if type(target) is nn.Linear else None
