"""Rows of the prompt embeddings' table."""

from dataclasses import dataclass
from typing import Literal

from director_diffusion.stills.rows import Split as StillSplit

FILE = "prompts.parquet"
ENCODING_VERSION = "1"  # of what an item holds; a change embeds every prompt anew

Split = StillSplit | Literal["prior", "preview"]


@dataclass(frozen=True)
class PromptRow:
    """A prompt that training may ask for.  `still` is "" for the empty prompt."""

    still: str
    split: Split
    prompt: str
    item: str
    reference: str  # the store's name: a safetensors file of the encoders' outputs for this prompt, no batch dimension
