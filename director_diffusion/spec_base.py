"""What all specs are made of: the strict base class and the commonest bounds.

Belongs here: nothing that knows what is decided.  The specs themselves are in `specs`, those of models trained from
scratch in `pretraining.specs`.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

SLUG = r"^[a-z0-9_]+$"

Slug = Annotated[str, Field(pattern=SLUG, max_length=64)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]


class Spec(BaseModel):
    """Base of every spec: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
