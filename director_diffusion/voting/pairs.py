"""Pairs: two pictures of one director, prompt and noise, drawn by two arms, to be compared blindly.

Belongs here: how pairs are made of an evaluation's own samples, and what their identity is made of.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from director_diffusion.hashing import hash_data
from director_diffusion.sampling.rows import Sample
from director_diffusion.voting.questions import QUESTIONS_VERSION

CONTESTS: tuple[tuple[str, str], ...] = (("adapter", "base_in_style"), ("adapter", "base"))
"""Arms that are set against each other within a recipe."""


@dataclass(frozen=True, order=True)
class Side:
    """Who drew a picture: an arm of a recipe's samples."""

    recipe: str
    arm: str


@dataclass(frozen=True)
class Shown:
    """A picture of a side."""

    side: Side
    reference: str  # the store's name of the PNG
    sha256: str


@dataclass(frozen=True)
class Pair:
    """Two pictures from the same words and the same noise.

    `identity` is a hash of what is judged: both pictures' contents in no order, the director, the words and the
    questions' version.  It names no arm, and pictures that are drawn again alike are the same pair.
    """

    identity: str
    director: str
    prompt_index: int
    prompt: str
    seed: int
    pictures: tuple[Shown, Shown]


def pairs_of(director: str, recipe: str, samples: Sequence[Sample]) -> tuple[Pair, ...]:
    """The pairs of one recipe's samples, by contest, prompt and seed."""
    return tuple(
        pair
        for one, other in CONTESTS
        for pair in pairs_between(director, (Side(recipe, one), samples), (Side(recipe, other), samples))
    )


def pairs_between(
    director: str, one: tuple[Side, Sequence[Sample]], other: tuple[Side, Sequence[Sample]]
) -> tuple[Pair, ...]:
    """The pairs of two sides, of one recipe or of two: wherever both drew the same words from the same noise.

    Equal pictures make no pair: there is nothing to choose.
    """
    (side, samples), (against, others) = one, other
    drawn = {(sample.prompt, sample.seed): sample for sample in others if sample.arm == against.arm}
    return tuple(
        _pair(director, sample, _shown(side, sample), _shown(against, match))
        for sample in samples
        if sample.arm == side.arm
        if (match := drawn.get((sample.prompt, sample.seed))) is not None and match.sha256 != sample.sha256
    )


def _pair(director: str, sample: Sample, one: Shown, other: Shown) -> Pair:
    judged = {
        "questions": QUESTIONS_VERSION,
        "director": director,
        "prompt": sample.prompt,
        "pictures": sorted((one.sha256, other.sha256)),
    }
    return Pair(hash_data(judged), director, sample.prompt_index, sample.prompt, sample.seed, (one, other))


def _shown(side: Side, sample: Sample) -> Shown:
    return Shown(side, sample.reference, sample.sha256)
