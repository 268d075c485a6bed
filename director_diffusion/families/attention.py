"""Attention: which of torch's kernels a denoiser runs on.

Belongs here: what several families choose alike.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

FEW = 256  # tokens


def plain_products_of_few(tokens: int, device: torch.device) -> AbstractContextManager[object]:
    """Inside, so few tokens on a CPU go by plain products.

    A step of `mnist` in bfloat16 takes a fifth longer with torch's own choice, flash attention (33 and 40 ms).  With
    1024 tokens it is plain products that do, and they would hold a number for each pair of tokens in memory.
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" and tokens <= FEW else nullcontext()
