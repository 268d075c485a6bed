"""Captions on show: what the tab Captions tells of them, and what a page sends to change them.

Belongs here: words and bounds.  Imports no gradio.
"""

import html
from collections.abc import Sequence
from typing import Final, Literal, get_args

from director_diffusion.captions.editing import Entry, checked_text, entries, take_back, write_captions
from director_diffusion.captions.quality import word_set
from director_diffusion.captions.replacing import Preview, Search, apply, checked_search, preview
from director_diffusion.errors import EditError, OrderError
from director_diffusion.studio.made import check_made
from director_diffusion.studio.orders import checked_choice
from director_diffusion.studio.studio import Studio

Choice = Literal["need a person", "all", "by a person", "by the model", "waiting for a run"]
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)
PAGE = 200  # rows of the table
MOST_CHANGES = 500  # that one replacement may make: as many as its preview shows
_BY = {"person": "a person", "model": "the model", "none": "nobody"}


def captions_on_show(studio: Studio, director: object) -> list[Entry]:
    """The captions of a director's kept stills.  Raises OrderError for no director, or one without captions yet."""
    slug = checked_choice("director", director, studio.directors)
    check_made(studio.store, ("captions",), slug)
    return entries(studio.store, studio.directors[slug])


def entry_on_show(studio: Studio, director: object, name: object) -> Entry:
    """One of them, by its name.  Raises OrderError where there is none of that name."""
    found = next((entry for entry in captions_on_show(studio, director) if entry.name == name), None)
    if found is None:
        raise OrderError("this still", "is not there", "Show the captions again.")
    return found


def chosen(shown: Sequence[Entry], choice: object) -> list[Entry]:
    """Those of a kind."""
    wanted = checked_choice("what to show", choice, dict.fromkeys(CHOICES))
    return [entry for entry in shown if wanted == "all" or wanted in _kinds(entry)]


def rows_of(shown: Sequence[Entry]) -> list[list[str]]:
    """Still, by whom, caption."""
    return [[entry.name, _by(entry), entry.text or "; ".join(entry.problems)] for entry in shown]


def counted(shown: Sequence[Entry]) -> str:
    """How many there are of each kind, in a line."""
    needing, waiting = sum(entry.needs_person for entry in shown), sum(entry.waiting for entry in shown)
    return f"{len(shown)} captions; {needing} need a person; {waiting} wait for a run"


def told(entry: Entry, problems: Sequence[str]) -> str:
    """All that is to be said of a caption, as HTML."""
    lines = [f"<b>{html.escape(entry.name)}</b>, by {html.escape(_by(entry))}"]
    if entry.sharing:
        lines.append(f"The same file is the caption of {html.escape(', '.join(entry.sharing))}.")
    lines += [f"⚠ {html.escape(problem)}" for problem in problems]
    if not problems and entry.text:
        lines.append("The rules find nothing wrong with it.")
    return "<br>".join(lines)


def problems_of(studio: Studio, director: str, entry: Entry, text: str, shown: Sequence[Entry]) -> list[str]:
    """What the rules say of a text as the caption of an entry: advice, since a person's caption stands anyway."""
    return _problems(studio, director, [(entry, text)], shown)[0]


def save(studio: Studio, director: str, entry: Entry, text: object) -> str:
    """Write a caption as the entry was shown; returns it as it was written.  Raises EditError for what is refused."""
    spec = studio.directors[director]
    line = checked_text(text, spec)
    write_captions(studio.store, spec, {entry.file: line}, [entry])
    return line


def undo(studio: Studio, director: str, entry: Entry) -> None:
    """Give a still back to the captioner.  Raises EditError where nobody wrote its caption."""
    take_back(studio.store, studio.directors[director], entry)


def searched(
    studio: Studio, director: object, find: object, replace: object, *, whole_words: object, match_case: object
) -> tuple[Search, list[Entry], Preview]:
    """A search, what it was put to, and what it would change."""
    search = checked_search(find, replace, whole_words=whole_words, match_case=match_case)
    shown = captions_on_show(studio, director)
    return search, shown, preview(shown, search, studio.directors[str(director)])


def replace_all(
    studio: Studio,
    director: object,
    find: object,
    replace: object,
    *,
    whole_words: object,
    match_case: object,
    token: object,
) -> int:
    """Make the changes shown under `token`; how many captions were written.

    Raises EditError as `apply` does, and for more changes than are shown.
    """
    search, shown, seen = searched(studio, director, find, replace, whole_words=whole_words, match_case=match_case)
    if len(seen.changes) > MOST_CHANGES:
        problem = f"would change {len(seen.changes):,} captions, of which {MOST_CHANGES} are shown"
        raise EditError("This search", problem, "Search for something rarer: what nobody saw is not written.")
    return apply(studio.store, studio.directors[str(director)], shown, search, token)


def changes_of(studio: Studio, director: object, found: Preview, shown: Sequence[Entry]) -> list[list[str]]:
    """Still, before, after, and what the rules say of it: as many changes, and as many refused, as may be made."""
    changes = found.changes[:MOST_CHANGES]
    problems = _problems(studio, str(director), [(one.entry, one.after) for one in changes], shown)
    rows = [
        [one.entry.name, one.entry.text, one.after, "; ".join(said)]
        for one, said in zip(changes, problems, strict=True)
    ]
    return rows + [[name, "", "(left as it is)", why] for name, why in found.refused[:MOST_CHANGES]]


def said_of(found: Preview) -> str:
    """How many captions a search would change, and whether it may."""
    count = len(found.changes)
    if count <= MOST_CHANGES:
        return f"{count} captions would change."
    return f"{count:,} captions would change. The first {MOST_CHANGES} are shown; so many are not replaced at once."


def _problems(
    studio: Studio, director: str, texts: Sequence[tuple[Entry, str]], shown: Sequence[Entry]
) -> list[list[str]]:
    """What the rules say of each text as its entry's caption; the others' words are told apart once for all."""
    words = [(one, word_set(one.text)) for one in shown if one.text]
    films, spec = sorted({one.still.film for one in shown}), studio.directors[director]
    found = []
    for entry, text in texts:
        others = ((one.name, mine) for one, mine in words if one.file != entry.file)
        found.append([str(problem) for problem in studio.judge.problems(text, spec, films=films, others=others)])
    return found


def _kinds(entry: Entry) -> set[str]:
    found = {f"by {'a' if entry.by == 'person' else 'the'} {entry.by}"}
    if entry.needs_person:
        found.add("need a person")
    if entry.waiting:
        found.add("waiting for a run")
    return found


def _by(entry: Entry) -> str:
    return f"{_BY[entry.by]}{', waits for a run' if entry.waiting else ''}"
