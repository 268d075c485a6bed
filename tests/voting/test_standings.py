"""Standings: votes joined with what they were about, counted by the conventions that they tell."""

import json
from itertools import cycle
from pathlib import Path

import pytest

from director_diffusion.evaluation.types import Score
from director_diffusion.sampling.rows import Sample
from director_diffusion.tables import read_table
from director_diffusion.voting.facts import facts_of
from director_diffusion.voting.ledger import Vote
from director_diffusion.voting.pairs import Pair, pairs_of
from director_diffusion.voting.plots import standings_plot
from director_diffusion.voting.questions import Answer
from director_diffusion.voting.standings import JudgedVote, Standings, judged_votes, standings, write_votes

RECIPE, DIRECTOR = "mini_lora", "nolan"
SAMPLES = [
    Sample(arm, prompt, f"a house {prompt}", "", "house", False, 7, "item", f"{arm}{prompt}.png", f"{arm} {prompt}")  # type: ignore[arg-type]
    for arm in ("base", "base_in_style", "adapter")
    for prompt in range(8)
]
PAIRS = pairs_of(DIRECTOR, RECIPE, SAMPLES)
IN_STYLE, BASE = PAIRS[:8], PAIRS[8:]


def vote(voter: str, pair: Pair, winner: str, *, prompt: Answer = "tie", turned: bool = False) -> Vote:
    """`winner` is an arm, or an answer to the question of style for both sides alike."""
    one, other = pair.pictures if not turned else pair.pictures[::-1]
    sides: dict[str, Answer] = {one.side.arm: "A", other.side.arm: "B", "tie": "tie", "neither": "neither"}
    return Vote(voter, pair.identity, DIRECTOR, 1, one.sha256, other.sha256, sides[winner], prompt, "2026")


def counted(votes: list[Vote], scores: list[Score] | None = None) -> Standings:
    return standings(judged_votes(votes, PAIRS, "t"), PAIRS, {RECIPE: scores or []})


def test_no_vote_is_a_standing_too(tmp_path: Path) -> None:
    found = counted([])
    assert (found.votes, found.voters, found.preliminary, found.pairs) == (0, 0, True, 16)
    assert [contest.rate for contest in found.contests] == [None] * 4
    found.write(tmp_path)
    write_votes([], tmp_path)
    assert json.loads((tmp_path / "standings.json").read_text())["votes"] == 0
    assert read_table(tmp_path / "votes.parquet", JudgedVote) == []
    assert facts_of(found, "clip")["preliminary"] == "yes: fewer than 100 votes or 5 voters"
    assert standings_plot(found).width > 500


def test_wins_ties_and_neither_are_counted_whatever_the_side() -> None:
    votes = [
        vote("v", IN_STYLE[0], "adapter"),
        vote("v", IN_STYLE[1], "adapter", turned=True),
        vote("v", IN_STYLE[2], "base_in_style", turned=True),
        vote("v", IN_STYLE[3], "tie"),
        vote("v", IN_STYLE[4], "neither"),
        vote("v", BASE[0], "base"),
    ]
    found = {(one.question, one.against.arm): one for one in counted(votes).contests}
    style = found["style", "base_in_style"]
    assert (style.side.arm, style.votes, style.wins, style.losses, style.ties, style.neither) == (
        "adapter",
        5,
        2,
        1,
        1,
        1,
    )
    assert style.rate is not None
    assert (style.rate.share, style.rate.n) == (2.5 / 4, 4)
    assert (found["style", "base"].wins, found["style", "base"].losses) == (0, 1)
    assert found["prompt", "base_in_style"].ties == 5


def test_votes_on_other_pictures_and_of_other_questions_are_left_out() -> None:
    known = vote("v", IN_STYLE[0], "adapter")
    other = Vote("v", "0" * 64, DIRECTOR, 1, "x", "y", "A", "A", "2026")
    older = Vote("w", known.pair, DIRECTOR, 0, known.a, known.b, "A", "A", "2025")
    assert [one.pair for one in judged_votes([known, other, older], PAIRS, "t")] == [known.pair]


def test_preliminary_below_a_hundred_votes_or_five_voters() -> None:
    def of(voters: int) -> Standings:
        return counted([vote(f"v{n}", pair, "adapter") for n in range(voters) for pair in PAIRS])

    assert of(6).preliminary, "96 votes"
    assert not of(7).preliminary
    assert {contest.preliminary for contest in of(7).contests} == {True}, "56 of each"
    assert {contest.preliminary for contest in of(13).contests} == {False}
    many = [vote("v", pair, "adapter") for pair in PAIRS] * 10
    assert counted(many).preliminary, "160 by one voter"


def test_a_voter_is_somebody_else_in_every_table(tmp_path: Path) -> None:
    votes = [vote("ann", pair, "adapter") for pair in PAIRS[:3]] + [vote("bob", PAIRS[0], "base_in_style")]
    one, other = (judged_votes(votes, PAIRS, table) for table in ("one", "other"))
    assert len({row.voter for row in one}) == 2
    assert not {row.voter for row in one} & {row.voter for row in other}
    assert not {row.voter for row in one} & {"ann", "bob"}
    write_votes(one, tmp_path)
    assert read_table(tmp_path / "votes.parquet", JudgedVote) == one
    assert judged_votes(votes[::-1], PAIRS, "one") == one, "nor does the order of votes tell anything"


def test_a_metric_agrees_where_it_prefers_what_the_voter_prefers() -> None:
    """CLIP prefers the adapter; colour, of which less is nearer, does not; luma sees no difference and is silent."""
    value = {"base": 0.1, "base_in_style": 0.2, "adapter": 0.3}
    scores = [
        Score(sample.arm, sample.prompt_index, sample.seed, metric, value[sample.arm] * factor, "item")
        for sample in SAMPLES
        for metric, factor in (("clip", 1.0), ("colour", 1.0), ("luma", 0.0))
    ]  # type: ignore[arg-type]
    turn = cycle((False, True))
    votes = [vote("v", pair, "adapter", turned=next(turn), prompt="neither") for pair in IN_STYLE[:6]]
    votes += [
        vote("v", IN_STYLE[6], "base_in_style", prompt="neither"),
        vote("v", IN_STYLE[7], "tie", prompt="neither"),
    ]
    found = {(one.question, one.metric): one for one in counted(votes, scores).agreements}
    assert set(found) == {("style", "clip"), ("style", "colour")}
    assert (found["style", "clip"].rate.share, found["style", "clip"].rate.n) == (6 / 7, 7)
    assert found["style", "colour"].rate.share == pytest.approx(1 / 7)
    assert found["style", "clip"].undecided == 0


def test_strengths_rank_the_sides_and_the_file_is_the_same_again(tmp_path: Path) -> None:
    turn = cycle((False, True, True, False))
    votes = [
        vote(f"v{n}", pair, "adapter" if (n + place) % 4 else "tie", turned=next(turn))
        for n in range(10)
        for place, pair in enumerate(PAIRS)
    ]
    found = counted(votes)
    ranking = found.rankings[0]
    by_arm = dict(zip([side.arm for side in ranking.sides], ranking.fit.strengths, strict=True))
    assert by_arm["adapter"].value > 1 > max(by_arm["base"].value, by_arm["base_in_style"].value)
    assert ranking.fit.linked
    found.write(tmp_path / "one")
    counted(votes[::-1]).write(tmp_path / "two")
    assert (tmp_path / "one" / "standings.json").read_bytes() == (tmp_path / "two" / "standings.json").read_bytes()
    facts = facts_of(found, "clip")
    label = 'adapter closer to the director than base, "in the style of"'
    assert 0.8 < facts[label] < 1  # type: ignore[operator]
    assert facts[f"{label}, low"] < facts[label] < facts[f"{label}, high"]  # type: ignore[operator]
    assert standings_plot(found).height > 200
