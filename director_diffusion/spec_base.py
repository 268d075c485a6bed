"""What all specs are made of: the strict base class and the commonest bounds.

Belongs here: nothing that knows what is decided.  The specs themselves are in `specs`, those of models trained from
scratch in `pretraining.specs`.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from director_diffusion.plain_text import NOT_PLAIN, is_plain

SLUG = r"^[a-z0-9_]+$"

Slug = Annotated[str, Field(pattern=SLUG, max_length=64)]


def _plain(text: str) -> str:
    if not is_plain(text, lines=True):
        raise ValueError(NOT_PLAIN)
    return text


Plain = AfterValidator(_plain)
"""No control characters: no path, no trigger and no file's header takes them."""

Text = Annotated[str, Field(min_length=1, max_length=2000), Plain]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1, le=10**12)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Spec(BaseModel):
    """Base of every spec: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
