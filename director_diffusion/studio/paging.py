"""Paging: a long list, one page of it at a time.

Belongs here: that, and saying which page it is.
"""

from collections.abc import Sequence
from typing import TypeVar

from director_diffusion.studio.orders import checked_whole

MOST_PAGES = 10_000
_T = TypeVar("_T")


def page_of(items: Sequence[_T], number: object, size: int, noun: str) -> tuple[list[_T], str]:
    """The items of a page, from 1, and what page that is in words; beyond the last, the last."""
    pages = max(1, -(-len(items) // size))
    page = min(checked_whole("page", number, 1, MOST_PAGES), pages)
    return list(items[(page - 1) * size : page * size]), f"page {page} of {pages}, {len(items)} {noun}"
