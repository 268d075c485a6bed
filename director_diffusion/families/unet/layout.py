"""Layouts: what tells one UNet family from another.

Belongs here: those facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from diffusers import DiffusionPipeline


@dataclass(frozen=True)
class Layout:
    """One family's pipeline in diffusers."""

    family: str
    pipeline: type[DiffusionPipeline]
    text_encoders: tuple[str, ...]
    tokenizers: tuple[str, ...]
    sizes: Literal["text_time"] | None
    """How its UNet is told sizes and the pooled prompt (`addition_embed_type`); None: it is told of neither."""
    extras: Mapping[str, Any]
    """What the pipeline is loaded with, that it draws what the UNet gives and nothing else."""
