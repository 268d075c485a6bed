"""Adapter files: safetensors whose bytes depend on their content alone.

Belongs here: what every family's `save_adapter` writes with.  Names of weights and metadata are the family's.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import safetensors.torch
from peft import LoraConfig
from torch import Tensor

_LENGTH_BYTES = 8  # a safetensors file begins with its header's length, little-endian
_ALIGNMENT = 8


def write_adapter_file(path: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write `weights` with `metadata` in the header, sorted by name.

    safetensors itself orders metadata anew in every process, so that two equal adapters would differ in their bytes.
    """
    plain = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()})
    end = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "little")
    tensors = json.loads(plain[_LENGTH_BYTES:end])
    header = json.dumps(
        {"__metadata__": {"format": "pt", **dict(sorted(metadata.items()))}, **tensors},
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(_LENGTH_BYTES, "little"))
        file.write(header)
        file.write(memoryview(plain)[end:])


def plain_config(config: LoraConfig) -> dict[str, Any]:
    """A peft configuration as JSON: rank, alpha, targets and what else is not peft's default.

    Defaults are left out so that versions of peft which lack a newer option still read the file.
    """
    defaults = LoraConfig()
    kept = {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if field.name in _ALWAYS or getattr(config, field.name) != getattr(defaults, field.name)
    }
    return {name: sorted(value) if isinstance(value, (set, frozenset)) else value for name, value in kept.items()}


_ALWAYS = ("r", "lora_alpha", "target_modules")
