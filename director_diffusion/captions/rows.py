"""Rows of the captions' table."""

from dataclasses import dataclass
from typing import Literal

from director_diffusion.stills.rows import Split

FILE = "captions.parquet"


@dataclass(frozen=True)
class Caption:
    """What one kept still shows, in words, without the trigger."""

    still: str
    film: str
    name: str
    split: Split
    text: str  # "" where it needs a person: such a still trains on the trigger alone
    source: Literal["person", "model", "none"]
    status: Literal["ok", "needs_person"]
    problems: tuple[str, ...]  # rules that failed, or advice on a person's text
    attempts: int  # times the model was asked
    tokens: int  # of trigger and caption joined, most over the tokenizers of the project's bases
