"""Rows of the samples' table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from director_diffusion.specs import StepCount

Arm = Literal[
    "base", "base_in_style", "adapter", "first_fold", "second_fold", "turbo_1", "turbo_2", "turbo_4", "turbo_8",
    "stock_1", "stock_2", "stock_4", "stock_8",
]  # fmt: skip
FILE = "samples.parquet"
DRAWING_FILE = "drawing.json"  # names all but adapter, prompts and noise that the pixels depend on
DRAWING_VERSION = 1  # raise it when the same noise, prompt and weights would come out as other pixels
ARMS: tuple[Arm, ...] = ("base", "base_in_style", "adapter")
BASES: tuple[Arm, ...] = ("base", "base_in_style")  # that wear no adapter
FOLD_ARMS: tuple[Arm, ...] = ("first_fold", "second_fold")
"""Drawn beside the others where a plan asks for two folds, with adapters that each lack the stills of one."""

TURBO_ARMS: Mapping[StepCount, Arm] = {1: "turbo_1", 2: "turbo_2", 4: "turbo_4", 8: "turbo_8"}
"""Few-step students of the adapter, by the steps that they draw in."""
STOCK_ARMS: Mapping[StepCount, Arm] = {1: "stock_1", 2: "stock_2", 4: "stock_4", 8: "stock_8"}
"""Others' few-step weights on top of the adapter, by the steps that they draw in."""
FEW_STEP_ARMS: Mapping[Arm, StepCount] = {
    arm: count for arms in (TURBO_ARMS, STOCK_ARMS) for count, arm in arms.items()
}


def pace_label(arm: Arm) -> str:
    """What the fact is called that tells how fast an arm's pictures were drawn, where some were."""
    return f"images a second, {arm}"


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
