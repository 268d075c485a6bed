"""Answers: what a captioner says about pictures, before anyone judges it.

Belongs here: the seam between the captions stage and whatever engine looks at pictures, and an answer's form at rest.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from PIL import Image

from director_diffusion.hashing import hash_data, short


@dataclass(frozen=True)
class Answer:
    """A captioner's words, untouched."""

    text: str
    hit_limit: bool  # it was stopped by `max_new_tokens`, not by its own end

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @staticmethod
    def from_bytes(data: bytes) -> "Answer":
        return Answer(**json.loads(data))


class PictureReader(Protocol):
    """Something that answers an instruction about pictures, always the same way."""

    def answer(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> list[Answer]:
        """One answer per image and its instruction; the two are equally long."""


def answer_item(still: str, instruction: str) -> str:
    """Name in the item cache of the answer about a still to an instruction."""
    return f"{still}.{short(hash_data(instruction))}"
