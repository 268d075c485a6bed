"""Packing: squares of cells to tokens and back, as diffusers' FluxPipeline lays them out.

Belongs here: arithmetic on shapes, for any side of the squares.  Which side a base has, its family says.
"""

import torch
from torch import Tensor

from director_diffusion.errors import ModelError


def pack(cells: Tensor, side: int) -> Tensor:
    """(B, C, h, w) → (B, h/side · w/side, C · side²): a token is a square, channel by channel.

    Raises ModelError where squares do not fill the picture.
    """
    batch, channels, height, width = cells.shape
    if height % side or width % side:
        raise ModelError(
            f"latents of {width} × {height} cells",
            f"cannot be packed: sides are multiples of {side}",
            f"Make the base's resolution.multiple as wide as {side} cells, or a multiple of that.",
        )
    squares = cells.reshape(batch, channels, height // side, side, width // side, side)
    return squares.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * side * side)


def unpack(tokens: Tensor, side: int, *, height: int, width: int) -> Tensor:
    """The inverse of `pack`, to (B, C, height, width)."""
    batch = len(tokens)
    squares = tokens.reshape(batch, height // side, width // side, -1, side, side)
    return squares.permute(0, 3, 1, 4, 2, 5).reshape(batch, -1, height, width)


def token_places(rows: int, columns: int, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(rows · columns, 3): what Flux's rotary embedding is given of each token: 0, its row, its column."""
    # Made where they are read: every step asks for them, and a copy from the host would wait for the device.
    down, across = torch.arange(rows, device=device), torch.arange(columns, device=device)
    places = torch.cartesian_prod(down, across)
    return torch.nn.functional.pad(places, (1, 0)).to(dtype)
