"""Markdown: tables and people's words in it.

Belongs here: making text that shows as it was meant.
"""

import html
from collections.abc import Iterable, Sequence

_SPECIAL = "\\`*_[]|!#~"


def plain(text: str) -> str:
    """Somebody's words on one line, of which nothing is taken for Markdown or HTML."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{char}" if char in _SPECIAL else char for char in escaped)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def quoted(text: str) -> str:
    """As a block quotation."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def counted(count: int, thing: str) -> str:
    """As "1 film" or "2 films"."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
