"""Given: what comes from outside, checked before anything is done with it.

Belongs here: bounds of every value that a voter's browser may send.  Errors never repeat the value: it may be hostile,
long, or somebody's secret.
"""

import re
from collections.abc import Mapping
from typing import cast

from director_diffusion.errors import VoteError
from director_diffusion.spec_base import SLUG
from director_diffusion.voting.questions import ANSWERS, QUESTIONS, Answer, Question

PASS = "pass-"  # how the name of a voter without one begins
_VOTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,200}")
_SLUG = re.compile(SLUG)


def checked_voter(value: object) -> str:
    """A voter's name: up to 128 ASCII letters, digits and `. _ @ + -`."""
    if isinstance(value, str) and _VOTER.fullmatch(value):
        return value
    raise VoteError(
        "voter",
        f"{kind_of(value)} is no name",
        "Give up to 128 letters, digits and . _ @ + - of ASCII, a letter first.",
    )


def checked_token(value: object, what: str) -> str:
    """What only the booth can have made."""
    if isinstance(value, str) and _TOKEN.fullmatch(value):
        return value
    raise VoteError(what, f"{kind_of(value)} was not made here", "Give back what the booth handed out, unchanged.")


def checked_slug(value: object) -> str:
    """A director's or recipe's."""
    if isinstance(value, str) and len(value) <= 64 and _SLUG.fullmatch(value):
        return value
    raise VoteError("director or recipe", f"{kind_of(value)} names none", "Choose one of those on show.")


def checked_answers(value: object) -> dict[Question, Answer]:
    """An answer to each question, and nothing else."""
    way_out = f"Answer {' and '.join(QUESTIONS)}, each with one of {', '.join(ANSWERS)}."
    if not isinstance(value, Mapping) or len(value) != len(QUESTIONS) or any(name not in value for name in QUESTIONS):
        raise VoteError("answers", f"{kind_of(value)} does not answer the {len(QUESTIONS)} questions", way_out)
    for name in QUESTIONS:
        if not isinstance(value[name], str) or value[name] not in ANSWERS:
            raise VoteError(f"answer to {name}", f"{kind_of(value[name])} is none", way_out)
    return {name: cast(Answer, value[name]) for name in QUESTIONS}


def kind_of(value: object) -> str:
    """What it is, in words that are ours."""
    if isinstance(value, str):
        return f"a text of {len(value):,} characters"
    return f"a {type(value).__name__}"
