"""Packed attention: pictures of one size attend to themselves, all in one product of matrices.

Belongs here: that function, known to transformers by a name.  Its own way takes a vision tower's pictures one by one in
Python, unless an attention says that it takes them packed, as flash attention does; its name must then say "flash".
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

PACKED = "packed_flash"


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    scaling: float,
    max_length_q: int,
    **others: Any,
) -> tuple[Tensor, None]:
    """From (1, heads, N * L, C) to (1, N * L, heads, C), for N pictures of L = `max_length_q` patches each."""
    _, heads, total, channels = query.shape
    query, key, value = (x.view(heads, -1, max_length_q, channels) for x in (query, key, value))
    weights = torch.softmax(scaling * query @ key.transpose(-1, -2), dim=-1).to(value.dtype)
    return (weights @ value).reshape(heads, total, channels).transpose(0, 1)[None], None


AttentionInterface.register(PACKED, packed_attention)
