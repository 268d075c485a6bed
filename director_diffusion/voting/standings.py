"""Standings: what the votes say about an evaluation's pictures, and whether its metrics say the same.

Belongs here: votes joined with the pairs they were about, and counted; the files.  The statistics are in `statistics`.

Conventions, which the files repeat:

- A tie is half a vote for either side.  `neither` is an answer about both pictures and no comparison: it is counted
  apart and enters no rate.
- Metrics are asked of decided votes alone, A or B; a metric that has the same value for both pictures says nothing.
- Below 100 votes, or five voters, everything is preliminary.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from director_diffusion.evaluation.types import DISTANCES, METRIC_NAMES, Metric, Score
from director_diffusion.hashing import hash_data, short
from director_diffusion.tables import write_table
from director_diffusion.voting.ledger import Vote
from director_diffusion.voting.pairs import Pair, Shown, Side
from director_diffusion.voting.questions import QUESTIONS, QUESTIONS_VERSION, Answer, Question
from director_diffusion.voting.statistics.bradley_terry import Strengths, bradley_terry
from director_diffusion.voting.statistics.rate import Rate, rate_of
from director_diffusion.voting.statistics.resampling import MIN_GROUPS

VOTES_FILE, STANDINGS_FILE = "votes.parquet", "standings.json"
PRELIMINARY_BELOW = 100  # votes
CONFIDENCE = 0.95
DECIMALS = 6  # the last bits of a float depend on the machine's arithmetic
CONVENTIONS = (
    "a tie is half a vote for either side; neither is counted apart and enters no rate",
    "metrics are compared with decided votes; the same value of both pictures says nothing",
    f"preliminary: fewer than {PRELIMINARY_BELOW} votes, or than {MIN_GROUPS} voters",
    "low and high: over voters and prompts; wilson: were votes independent",
    "strengths are logits: 1 more wins e times as often as it loses, where sides are random",
)


_Place = tuple[str, str, int, int]  # recipe, arm, prompt, seed


@dataclass(frozen=True)
class JudgedVote:
    """A vote with what it was about.  `voter` is another pseudonym in each director's and recipe's table."""

    voter: str
    pair: str
    prompt_index: int
    prompt: str
    seed: int
    a_recipe: str
    a_arm: str
    b_recipe: str
    b_arm: str
    a: str  # SHA-256 of the picture shown as A
    b: str
    style: Answer
    prompt_answer: Answer


@dataclass(frozen=True)
class Contest:
    """One side against another, by one question."""

    question: Question
    side: Side
    against: Side
    votes: int
    wins: int
    losses: int
    ties: int
    neither: int
    rate: Rate | None  # of wins, a tie a half; None without any
    preliminary: bool


@dataclass(frozen=True)
class Ranking:
    """Bradley-Terry strengths of all sides, by one question."""

    question: Question
    sides: tuple[Side, ...]
    fit: Strengths


@dataclass(frozen=True)
class Agreement:
    """How often a metric prefers the picture that a voter prefers; half the time is chance."""

    question: Question
    metric: Metric
    rate: Rate
    undecided: int  # votes on pictures between which the metric sees no difference
    preliminary: bool


@dataclass(frozen=True)
class Standings:
    """Everything that the votes on some pairs say."""

    votes: int
    voters: int
    preliminary: bool
    pairs: int  # that could be voted on
    pairs_voted_on: int
    contests: tuple[Contest, ...]
    rankings: tuple[Ranking, ...]
    agreements: tuple[Agreement, ...]

    def write(self, folder: Path) -> None:
        """Write the file.  Its bytes depend on the standings alone."""
        told = {"questions": QUESTIONS_VERSION, "confidence": CONFIDENCE, "conventions": CONVENTIONS, **asdict(self)}
        text = json.dumps(_rounded(told), indent=1, ensure_ascii=False, allow_nan=False)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STANDINGS_FILE).write_text(text + "\n", encoding="utf-8")


def judged_votes(votes: Iterable[Vote], pairs: Collection[Pair], table: str) -> list[JudgedVote]:
    """The votes about these pairs, in an order that is not that of their casting; others are of other pictures.

    `table` enters voters' pseudonyms, so that tables of several directors cannot be joined by voter.
    """
    by_identity = {pair.identity: pair for pair in pairs}
    found = []
    for vote in votes:
        pair = by_identity.get(vote.pair)
        if pair is None or vote.questions != QUESTIONS_VERSION:
            continue
        a, b = _as_shown(pair, vote)
        found.append(
            JudgedVote(
                voter=short(hash_data({"voter": vote.voter, "table": table})),
                pair=vote.pair,
                prompt_index=pair.prompt_index,
                prompt=pair.prompt,
                seed=pair.seed,
                a_recipe=a.side.recipe,
                a_arm=a.side.arm,
                b_recipe=b.side.recipe,
                b_arm=b.side.arm,
                a=vote.a,
                b=vote.b,
                style=vote.style,
                prompt_answer=vote.prompt,
            )
        )
    return sorted(found, key=lambda vote: (vote.pair, vote.voter))


def write_votes(votes: Sequence[JudgedVote], folder: Path) -> None:
    """Write the table, of voters whom nobody can name."""
    write_table(folder / VOTES_FILE, JudgedVote, votes)


def standings(votes: Sequence[JudgedVote], pairs: Collection[Pair], scores: Mapping[str, Iterable[Score]]) -> Standings:
    """Count the votes and ask what they say.  `scores` are those of the evaluations, by recipe."""
    sides = sorted({shown.side for pair in pairs for shown in pair.pictures})
    contests = sorted({_contest(pair) for pair in pairs})
    grid = _Grid(votes)
    by_metric: dict[Metric, dict[_Place, float]] = {metric: {} for metric in METRIC_NAMES}
    for recipe, found in scores.items():
        for score in found:
            by_metric[score.metric][recipe, score.arm, score.prompt_index, score.seed] = score.value
    agreements = (
        _agreement(grid, question, metric, by_metric[metric]) for question in QUESTIONS for metric in by_metric
    )
    return Standings(
        votes=len(votes),
        voters=len(grid.voters),
        preliminary=_is_preliminary(len(votes), len(grid.voters)),
        pairs=len({pair.identity for pair in pairs}),
        pairs_voted_on=len({vote.pair for vote in votes}),
        contests=tuple(_counted(grid, question, *contest) for question in QUESTIONS for contest in contests),
        rankings=tuple(_ranked(grid, question, sides) for question in QUESTIONS),
        agreements=tuple(one for one in agreements if one is not None),
    )


def answer_to(vote: JudgedVote, question: Question) -> Answer:
    """What a vote answers to a question."""
    return vote.style if question == "style" else vote.prompt_answer


class _Grid:
    """Votes by voter and prompt."""

    def __init__(self, votes: Sequence[JudgedVote]):
        self.votes = votes
        self.voters = {name: row for row, name in enumerate(sorted({vote.voter for vote in votes}))}
        self.prompts = {words: column for column, words in enumerate(sorted({vote.prompt for vote in votes}))}

    def rate(self, scored: Iterable[tuple[JudgedVote, float]]) -> Rate | None:
        """The rate of votes with their scores."""
        shape = (len(self.voters), len(self.prompts))
        scores, counts = np.zeros(shape), np.zeros(shape, np.int64)
        for vote, score in scored:
            place = self.voters[vote.voter], self.prompts[vote.prompt]
            scores[place] += score
            counts[place] += 1
        return rate_of(scores, counts, CONFIDENCE)


def _as_shown(pair: Pair, vote: Vote) -> tuple[Shown, Shown]:
    one, other = pair.pictures
    return (one, other) if one.sha256 == vote.a else (other, one)


def _contest(pair: Pair) -> tuple[Side, Side]:
    one, other = (shown.side for shown in pair.pictures)
    return one, other


def _sides(vote: JudgedVote) -> tuple[Side, Side]:
    return Side(vote.a_recipe, vote.a_arm), Side(vote.b_recipe, vote.b_arm)


def _counted(grid: _Grid, question: Question, side: Side, against: Side) -> Contest:
    """Votes on the pairs of two sides."""
    about = [vote for vote in grid.votes if set(_sides(vote)) == {side, against}]
    won = {"A": 1.0, "B": 0.0, "tie": 0.5}
    scored, counts = [], {"win": 0, "loss": 0, "tie": 0, "neither": 0}
    for vote in about:
        answer = answer_to(vote, question)
        if answer == "neither":
            counts["neither"] += 1
            continue
        score = won[answer] if _sides(vote)[0] == side else 1 - won[answer]
        scored.append((vote, score))
        counts["tie" if answer == "tie" else "win" if score else "loss"] += 1
    return Contest(
        question=question,
        side=side,
        against=against,
        votes=len(about),
        wins=counts["win"],
        losses=counts["loss"],
        ties=counts["tie"],
        neither=counts["neither"],
        rate=grid.rate(scored),
        preliminary=_is_preliminary(len(about), len({vote.voter for vote in about})),
    )


def _ranked(grid: _Grid, question: Question, sides: Sequence[Side]) -> Ranking:
    place = {side: number for number, side in enumerate(sides)}
    cells = sorted({(place[a], place[b]) for a, b in map(_sides, grid.votes)})
    column = {cell: number for number, cell in enumerate(cells)}
    answers: dict[Answer, int] = {"A": 0, "B": 1, "tie": 2}
    counts: NDArray[np.int64] = np.zeros((len(grid.voters), len(cells), len(answers)), np.int64)
    for vote in grid.votes:
        answer, (a, b) = answer_to(vote, question), _sides(vote)
        if answer in answers:
            counts[grid.voters[vote.voter], column[place[a], place[b]], answers[answer]] += 1
    counts = counts[counts.sum(axis=(1, 2)) > 0]
    return Ranking(question, tuple(sides), bradley_terry(cells, counts, len(sides), CONFIDENCE))


def _agreement(grid: _Grid, question: Question, metric: Metric, values: Mapping[_Place, float]) -> Agreement | None:
    """None where no decided vote is about pictures that the metric tells apart."""
    scored, undecided = [], 0
    for vote in grid.votes:
        answer = answer_to(vote, question)
        a, b = (values.get((side.recipe, side.arm, vote.prompt_index, vote.seed)) for side in _sides(vote))
        if answer not in ("A", "B") or a is None or b is None:
            continue
        if a == b:
            undecided += 1
            continue
        prefers = "A" if (a > b) != (metric in DISTANCES) else "B"
        scored.append((vote, float(prefers == answer)))
    rate = grid.rate(scored)
    if rate is None:
        return None
    return Agreement(question, metric, rate, undecided, _is_preliminary(rate.n, rate.voters))


def _is_preliminary(votes: int, voters: int) -> bool:
    return votes < PRELIMINARY_BELOW or voters < MIN_GROUPS


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0  # no −0.0
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(one) for one in value]
    return value
