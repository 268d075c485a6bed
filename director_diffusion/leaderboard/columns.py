"""Columns: how the leaderboard reads, as Markdown or on a page.

Belongs here: titles, words and numbers of each column, and what a column sorts by.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from director_diffusion.distillation.rows import steps_of
from director_diffusion.leaderboard.rows import RANKS, Entrant, Entry, Span
from director_diffusion.sampling.rows import TURBO_ARMS

NOTHING = "–"
Lines = tuple[str, ...]
ENTRANTS: Mapping[Entrant, str] = {
    "adapter": "adapter",
    "joint_adapter": "adapter of all directors",
    **{arm: f"turbo, {steps_of(count)}" for count, arm in TURBO_ARMS.items()},
}
HOW_TO_READ = (
    "Adapters that passed come first, then undecided, failed and unjudged ones; among each by the lower end of the "
    "style effect's interval. The style effect is what an adapter adds to the closeness to the director's held-out "
    "stills over its own base asked for the style by name; prompt fidelity is what it adds or takes beside that "
    "base. Both compare an adapter with its base, so those of a base that knows a director well are smaller. Votes "
    "are shares for the adapter against the base asked by name; half is chance, preliminary means too few votes or "
    "voters. A student's size and training come on top of its adapter's. Seconds and images a second are those of "
    "the machine that worked."
)


@dataclass(frozen=True)
class Column:
    """A column: its title, the words of a cell, and what rows are sorted by (None: last)."""

    name: str
    title: str
    lines: Callable[[Entry], Lines]  # what a page does not break
    value: Callable[[Entry], Any]  # a number or words
    greatest_first: bool = True

    def text(self, entry: Entry) -> str:
        """A cell on one line."""
        return " ".join(self.lines(entry))


def _effect(name: Literal["style", "prompt"]) -> tuple[Callable[[Entry], Lines], Callable[[Entry], float | None]]:
    def lines(entry: Entry) -> Lines:
        if (span := entry.span(name)) is None:
            return (NOTHING,)
        value, low, high = span
        return f"{value:+.3f}", f"[{low:+.3f}, {high:+.3f}]"

    return lines, lambda entry: _low(entry.span(name))


def _share(
    name: Literal["voted_style", "voted_prompt"],
) -> tuple[Callable[[Entry], Lines], Callable[[Entry], float | None]]:
    def lines(entry: Entry) -> Lines:
        if (span := entry.span(name)) is None:
            return (NOTHING if entry.votes is None else "no votes",)
        value, low, high = span
        of = (f"of {entry.votes:,},", "preliminary") if entry.preliminary else (f"of {entry.votes:,}",)
        return f"{value:.0%}", f"[{low:.0%}, {high:.0%}]", *of

    return lines, lambda entry: _low(entry.span(name))


def _low(span: Span | None) -> float | None:
    return None if span is None else span[1]


def _size(entry: Entry) -> Lines:
    return (NOTHING if entry.size_bytes is None else f"{entry.size_bytes / 1e6:,.2f} MB",)


def _training(entry: Entry) -> Lines:
    seconds = () if entry.training_seconds is None else (f"{entry.training_seconds:,.0f} s",)
    if entry.training_steps is None:
        return seconds or (NOTHING,)
    return f"{entry.training_steps:,} steps{',' if seconds else ''}", *seconds


def _pace(entry: Entry) -> Lines:
    return (NOTHING if entry.images_per_second is None else f"{entry.images_per_second:.2f}",)


def _verdict(entry: Entry) -> Lines:
    return (NOTHING,) if entry.verdict is None else (entry.verdict, f"({entry.tier})")


COLUMNS: tuple[Column, ...] = (
    Column("director", "director", lambda one: (one.director,), lambda one: one.director, greatest_first=False),
    Column("recipe", "recipe", lambda one: (one.recipe,), lambda one: one.recipe, greatest_first=False),
    Column("entrant", "adapter", lambda one: (ENTRANTS[one.entrant],), lambda one: one.entrant, greatest_first=False),
    Column("verdict", "verdict", _verdict, lambda one: RANKS[one.verdict], greatest_first=False),
    Column("style", "style effect", *_effect("style")),
    Column("prompt", "prompt fidelity", *_effect("prompt")),
    Column("voted_style", "votes: closer to the director", *_share("voted_style")),
    Column("voted_prompt", "votes: closer to the words", *_share("voted_prompt")),
    Column("size", "size", _size, lambda one: one.size_bytes, greatest_first=False),
    Column("training", "training", _training, lambda one: one.training_seconds, greatest_first=False),
    Column("pace", "images a second", _pace, lambda one: one.images_per_second),
)


def sorted_by(entries: Sequence[Entry], column: str) -> list[Entry]:
    """By one column, its best first, and what it knows nothing of last; equal ones stay as they were."""
    wanted = next(one for one in COLUMNS if one.name == column)
    known = [entry for entry in entries if wanted.value(entry) is not None]
    rest = [entry for entry in entries if wanted.value(entry) is None]
    return sorted(known, key=wanted.value, reverse=wanted.greatest_first) + rest


def table_of(entries: Sequence[Entry]) -> str:
    """Markdown: a row for each adapter, and below what is not known of it."""
    lines = [
        f"| {' | '.join(column.title for column in COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *(f"| {' | '.join(column.text(entry) for column in COLUMNS)} |" for entry in entries),
    ]
    notes = [f"- {title_of(entry)}: {'; '.join(entry.notes)}." for entry in entries if entry.notes]
    return "\n".join([HOW_TO_READ, "", *lines, *(["", *notes] if notes else [])])


def title_of(entry: Entry) -> str:
    """Names an entry in a sentence."""
    return f"{entry.director}, {entry.recipe}, {ENTRANTS[entry.entrant]}"
