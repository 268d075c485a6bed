"""Marked: parts of a page that a script writes, between two comments that no reader sees.

Belongs here: putting a part in its place.  What it says is its script's.
"""

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent / "architecture.md"


@dataclass(frozen=True)
class Marks:
    """The comments before and behind a part."""

    begin: str
    end: str

    def filled(self, page: str, part: str) -> str:
        """The page with this part between its marks; `part` ends with its line."""
        before, mark, rest = page.partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not mark or not end:
            raise ValueError(f"{PAGE} lacks {self.begin} … {self.end}")
        return f"{before}{self.begin}\n{part}{self.end}{after}"

    def write(self, part: str) -> None:
        """Put this part on the page of the architecture."""
        PAGE.write_text(self.filled(PAGE.read_text(encoding="utf-8"), part), encoding="utf-8")
