"""Rows of the samples' table."""

from dataclasses import dataclass
from typing import Literal

Arm = Literal["base", "base_in_style", "adapter", "first_fold", "second_fold"]
FILE = "samples.parquet"
DRAWING_FILE = "drawing.json"  # names all but adapter, prompts and noise that the pixels depend on
DRAWING_VERSION = 1  # raise it when the same noise, prompt and weights would come out as other pixels
ARMS: tuple[Arm, ...] = ("base", "base_in_style", "adapter")
BASES: tuple[Arm, ...] = ("base", "base_in_style")  # that wear no adapter
FOLD_ARMS: tuple[Arm, ...] = ("first_fold", "second_fold")
"""Drawn beside the others where a plan asks for two folds, with adapters that each lack the stills of one."""


@dataclass(frozen=True)
class Sample:
    """One drawn image.  Samples of one prompt and seed start from the same noise in every arm."""

    arm: Arm
    prompt_index: int
    prompt: str  # the plan's words
    full_prompt: str  # what the model was given
    subject: str
    novel: bool
    seed: int  # of the noise: what the painter is given
    item: str
    reference: str  # the store's name of the PNG
    sha256: str
