"""What the specs of all parts have in common.

Belongs here: how a part is trained, whatever it is.  Imports no torch.
"""

from typing import Annotated, Literal

from pydantic import Field

from director_diffusion.spec_base import PositiveInt, Share, Spec


class PartTraining(Spec):
    """How a part is trained: AdamW, a warm-up, a cosine to zero, and an average of the weights that is handed out."""

    steps: PositiveInt = Field(description="Optimizer steps.")
    batch_size: PositiveInt
    lr: Annotated[float, Field(gt=0, le=1)] = Field(description="At its peak.")
    warmup_share: Share = 0.05
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(0.999, description="0 hands out the last weights.")
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="Of the arithmetic (autocast); weights are float32 in training."
    )
    checkpoint_every: PositiveInt = 500
    preview_every: PositiveInt = Field(1000, description="Steps between sample grids.")

    @property
    def trainings(self) -> tuple[tuple[float, int], ...]:
        """Peak learning rate and steps of the trainings that the part goes through, one after the other."""
        return ((self.lr, self.steps),)


class DrawnPart(PartTraining):
    """A part that may be trained on drawn scenes."""

    styled_share: Share = Field(0.5, description="Of drawn scenes: share in a random style; the others are in none.")
