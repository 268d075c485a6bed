"""Decisions: what people say of single stills over the rules: keep, reject, crop.

A decision is a small YAML file beside the still: many people can decide at once, and each file is replaced whole.

    stills/<director>/<film>/<file>.decision.yaml

    decision: reject              # or keep; left out where the still is only cropped
    reason: a hand before the lens  # in words; a rejection needs it
    crop: [0.1, 0, 0.9, 1]        # left, top, right, bottom as shares of the upright picture's sides
    who: ann

Belongs here: the file's form, the words that a still's row carries of it, and which decisions nothing came of.  Does
not: what a decision does to a still set (`ingest`), or listing the files (`raw`).
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from director_diffusion.plain_text import is_plain
from director_diffusion.spec_base import Spec
from director_diffusion.spec_reading import read_spec
from director_diffusion.stills.rows import Still, StillDecision

if TYPE_CHECKING:
    from director_diffusion.stills.frames import Box

SUFFIX = ".decision.yaml"
MOST_REASON, MOST_WHO = 300, 100  # characters
_REJECTED, _KEPT, _CROPPED = "rejected by ", "kept by ", "cropped by "

Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Place = tuple[str, str]
"""Film and file."""


class Decision(Spec):
    """The content of a decision's file."""

    decision: Literal["keep", "reject"] | None = Field(None, description="None where the still is only cropped.")
    reason: Annotated[str, Field(max_length=MOST_REASON)] = Field("", description="In words; a rejection needs one.")
    crop: tuple[Share, Share, Share, Share] | None = Field(
        None, description="Left, top, right, bottom as shares of the upright picture's sides, in place of its film's."
    )
    who: Annotated[str, Field(max_length=MOST_WHO)] = Field("", description="Who decided.")

    @field_validator("reason", "who")
    @classmethod
    def _one_line(cls, text: str) -> str:
        if not is_plain(text, lines=False):
            raise ValueError("must be one line without control characters or any that turn the direction of writing")
        return text.strip()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.decision is None and self.crop is None:
            raise ValueError("decides nothing: give `decision: keep`, `decision: reject` or a `crop`")
        if self.decision == "reject" and not self.reason:
            raise ValueError("a rejection needs a `reason` in words")
        if self.decision == "reject" and self.crop is not None:
            raise ValueError("a rejected still has no `crop`: take out one of the two")
        if self.crop is not None:
            left, top, right, bottom = self.crop
            if not (left < right and top < bottom):
                raise ValueError(
                    f"crop = {list(self.crop)} is empty: give left < right and top < bottom, each from 0 to 1"
                )
        return self


def read_decision(data: bytes, name: str) -> Decision:
    """Raises SpecError naming file, key, value and what is allowed."""
    return read_spec(data, name, Decision)


def encode_decision(decision: Decision) -> bytes:
    """As a person would write it."""
    told = {key: value for key, value in decision.model_dump(mode="json").items() if value not in (None, "")}
    flow = None if decision.crop else False  # four numbers on a line, words on lines of their own
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=1000).encode()


def row_of(film: str, file: str, decision: Decision) -> StillDecision:
    """As the table keeps it."""
    return StillDecision(film, file, decision.decision or "none", decision.reason, decision.crop or (), decision.who)


def by_file(decisions: Iterable[StillDecision]) -> dict[Place, StillDecision]:
    """Decisions by the still's place."""
    return {place_of(decision.film, decision.file): decision for decision in decisions}


def place_of(film: str, file: str) -> Place:
    """A file's place.  File systems differ in how they compose letters; a name is the same name in either form."""
    return unicodedata.normalize("NFC", film), unicodedata.normalize("NFC", file)


def crop_box(decision: StillDecision, width: int, height: int) -> "Box | None":
    """The crop in pixels of an upright picture of that size, at least one wide and high."""
    if not decision.crop:
        return None
    left, top, right, bottom = decision.crop
    left, top = min(round(left * width), width - 1), min(round(top * height), height - 1)
    return int(left), int(top), max(round(right * width), int(left) + 1), max(round(bottom * height), int(top) + 1)


def rejection(decision: StillDecision) -> str:
    """The reason that a rejected still's row carries."""
    return f"{_REJECTED}{_person(decision)}: {decision.reason}"


def is_rejected_by_person(still: Still) -> bool:
    """Whether it is out by a decision, and not by a rule."""
    return still.status == "rejected" and still.reason.startswith(_REJECTED)


def kept_in_spite(decision: StillDecision, rule: str) -> str:
    """What the row of a still says that a rule would have rejected for the reason `rule`."""
    why = f" ({decision.reason})" if decision.reason else ""
    return f"{_KEPT}{_person(decision)}{why}, by the rules: {rule}"


def cropped(decision: StillDecision) -> str:
    """What the row of a still says whose crop is a person's."""
    return f"{_CROPPED}{_person(decision)}"


def unheeded(decisions: Iterable[StillDecision], stills: Iterable[Still]) -> list[str]:
    """The decisions that nothing came of, in words: of files that are not there, or that cannot be used at all."""
    rows: Mapping[Place, Still] = {place_of(still.film, still.name): still for still in stills}
    told = []
    for decision in decisions:
        still, name = rows.get(place_of(decision.film, decision.file)), f"{decision.film}/{decision.file}"
        if still is None:
            told.append(f"{name}: there is no such still")
        elif decision.decision == "keep" and still.status == "rejected":
            told.append(f"{name}: cannot be kept, it {still.reason}")
        elif decision.crop and not still.width:
            told.append(f"{name}: cannot be cropped, it {still.reason}")
    return sorted(told)


def _person(decision: StillDecision) -> str:
    return decision.who or "a person"
