"""Usage: the picture that a model card shows how to draw.

Belongs here: the facts that an example is written from.  Its words are each family's own.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """One picture, by a base with an adapter from the Hub."""

    base: str  # its id on the Hub; of a base that is not there, the name that stands for its folder
    revision: str | None  # None: the base is not on the Hub
    adapter: str  # a repository
    weights: str  # the adapter's file in it
    prompt: str
    width: int
    height: int
    steps: int
    guidance: float
    guidance_kind: str
    max_tokens: int
    dtype: str

    @property
    def quoted_prompt(self) -> str:
        """The prompt as a string of Python."""
        escaped = self.prompt.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
