"""Writing: safetensors files whose bytes depend on their content alone.

Belongs here: the format's bytes.  What the tensors are called, and what the header says, is for others to decide.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

import torch
from torch import Tensor

_LENGTH_BYTES = 8  # a file begins with its header's length, little-endian
_ALIGNMENT = 8
_DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.float64: "F64"}


@dataclass(frozen=True)
class Lazy:
    """A tensor that exists only while it is written: a file of ΔW is larger than memory."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]


def write_adapter_file(path: Path, tensors: Mapping[str, Tensor | Lazy], metadata: Mapping[str, str]) -> None:
    """Write tensors with `metadata` in the header: widest first, then by name.

    safetensors itself orders metadata anew in every process, so that two equal adapters would differ in their bytes.
    """
    lazy = {name: _lazy(tensor) for name, tensor in tensors.items()}
    # The widest first, as the format's own writer has it: so each begins at a multiple of its width.
    order = sorted(lazy, key=lambda name: (-lazy[name].dtype.itemsize, name))
    entries: dict[str, object] = {"__metadata__": {"format": "pt", **dict(sorted(metadata.items()))}}
    end = 0
    for name in order:
        start, end = end, end + prod(lazy[name].shape) * lazy[name].dtype.itemsize
        entries[name] = {
            "dtype": _DTYPES[lazy[name].dtype],
            "shape": list(lazy[name].shape),
            "data_offsets": [start, end],
        }
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(_LENGTH_BYTES, "little"))
        file.write(header)
        for name in order:
            made = lazy[name].make().detach().to("cpu", lazy[name].dtype).contiguous()
            file.write(made.reshape(-1).view(torch.uint8).numpy().data)


def _lazy(tensor: Tensor | Lazy) -> Lazy:
    if isinstance(tensor, Lazy):
        return tensor
    return Lazy(tuple(tensor.shape), tensor.dtype, partial(_itself, tensor))


def _itself(tensor: Tensor) -> Tensor:
    return tensor
