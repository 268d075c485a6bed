"""Replacing: find and replace over many captions, seen before it is done.

Belongs here: what a search finds, and what it would make of each caption.  A search is for plain words, never a pattern
of the visitor's: some patterns take longer than the universe.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from director_diffusion.captions.editing import Entry, check_writable, checked_text, write_captions
from director_diffusion.errors import ChangedError, EditError
from director_diffusion.hashing import hash_data
from director_diffusion.plain_text import NOT_PLAIN, is_plain
from director_diffusion.specs import Director
from director_diffusion.storage import Store

MOST_WORDS = 200  # characters of what is found, and of what is put in its place


@dataclass(frozen=True)
class Search:
    """What to find, and what to put in its place."""

    find: str
    replace: str
    whole_words: bool = True
    match_case: bool = False

    def apply(self, text: str) -> str:
        """`text` with every occurrence replaced, on one line."""
        found = re.escape(self.find)
        pattern = rf"(?<!\w){found}(?!\w)" if self.whole_words else found
        changed = re.sub(pattern, lambda _: self.replace, text, flags=re.NOFLAG if self.match_case else re.IGNORECASE)
        return " ".join(changed.split())


@dataclass(frozen=True)
class Change:
    """One caption before and after."""

    entry: Entry
    after: str


@dataclass(frozen=True)
class Preview:
    """What a search would change.  `token` is of all of it, as it was when it was shown."""

    changes: tuple[Change, ...]
    refused: tuple[tuple[str, str], ...]  # names of stills whose caption cannot be changed so, and why

    @property
    def token(self) -> str:
        return hash_data([[one.entry.file, one.entry.mark, one.entry.text, one.after] for one in self.changes])


def checked_search(find: object, replace: object, *, whole_words: object, match_case: object) -> Search:
    """A search of what a page sent.  Raises EditError for what is none; the words do not repeat it."""
    for title, value in (("What to find", find), ("What to put in its place", replace)):
        if not isinstance(value, str):
            raise EditError(title, "is no text", "Write words.")
        if len(value) > MOST_WORDS:
            raise EditError(title, f"has {len(value):,} characters", f"Use {MOST_WORDS} at most.")
        if not is_plain(value, lines=False):
            raise EditError(title, f"{NOT_PLAIN}, or line breaks", "Write plain words.")
    if not isinstance(whole_words, bool) or not isinstance(match_case, bool):
        raise EditError("A search", "has options that are not yes or no", "Use the page's own.")
    assert isinstance(find, str)
    assert isinstance(replace, str)
    if not find.strip():
        raise EditError("What to find", "is empty", "Write the words to look for.")
    return Search(find, replace, whole_words, match_case)


def preview(entries: Sequence[Entry], search: Search, director: Director) -> Preview:
    """What `search` would make of these captions, each file once.

    Refused are those that would be left empty, and those whose file could not be read, nor hence replaced.
    """
    changes, refused, files = list[Change](), list[tuple[str, str]](), set[str]()
    for entry in entries:
        if entry.file in files or (after := search.apply(entry.text)) == entry.text:
            continue
        files.add(entry.file)
        try:
            check_writable(entry)
            changes.append(Change(entry, checked_text(after, director)))
        except EditError as error:
            refused.append((entry.name, error.problem))
    return Preview(tuple(changes), tuple(refused))


def apply(store: Store, director: Director, entries: Sequence[Entry], search: Search, token: object) -> int:
    """Make the changes that were shown under `token`; returns how many captions were written.

    Raises ChangedError where captions are no longer those that were shown; then nothing is written.
    """
    found = preview(entries, search, director)
    if found.token != token:
        raise ChangedError(
            "The captions", "are no longer those that this search was shown for", "Look at its preview once more."
        )
    texts = {one.entry.file: one.after for one in found.changes}
    write_captions(store, director, texts, [one.entry for one in found.changes])
    return len(texts)
