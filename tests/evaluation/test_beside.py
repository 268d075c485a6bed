"""One adapter beside another: paired differences where both were drawn and judged alike, else a reason why not."""

import json
from dataclasses import replace

import pytest

from director_diffusion.evaluation.beside import (
    FILE,
    beside_from,
    facts_of_beside,
    set_beside,
    table_of_beside,
)
from director_diffusion.evaluation.overview import overview_from, overview_of, table_of_overview
from director_diffusion.sampling.rows import ARMS
from tests.evaluation.bench import BLUE, GREEN, RED, Bench, plan_of

PLAN = plan_of()
PURPLE = (100, 55, 130)


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory):
    """Of one director: an adapter of its own that is as its held-out stills, and another that goes half the way."""
    bench = Bench(tmp_path_factory.mktemp("beside"))
    base = bench.draw(PLAN, arms=ARMS[:2], base=GREEN, base_in_style=RED)
    drawn = {name: bench.draw(PLAN, arms=ARMS[2:], adapter=colour) for name, colour in (("own", BLUE), ("all", PURPLE))}
    return {name: bench.judge(PLAN, [*base, *samples]) for name, samples in drawn.items()}


def test_differences_are_paired_and_of_every_metric(evaluations, tmp_path):
    ours, theirs = evaluations["all"], evaluations["own"]
    beside = set_beside(ours, theirs, PLAN, of="joint_adapter", other="adapter")
    assert {one.metric for one in beside.differences} == {score.metric for score in ours.scores}
    style = beside.difference("clip")
    assert style.low <= style.mean <= style.high < 0
    assert (style.n, style.seeds, style.confidence) == (8, 2, 0.95)
    assert style.mean == pytest.approx(style.ours - style.theirs, abs=1e-6)
    of_arms = ours.effect("clip", "base").mean - theirs.effect("clip", "base").mean
    assert style.mean == pytest.approx(of_arms, abs=1e-6), "the base is the same in both"
    share = ours.effect("clip", "base").mean / theirs.effect("clip", "base").mean
    assert beside.kept["base"] == pytest.approx(share, abs=1e-4)
    beside.write(tmp_path)
    assert beside_from(json.loads((tmp_path / FILE).read_text())) == beside
    facts = facts_of_beside(beside)
    assert facts["style beside adapter"] == style.mean
    assert facts["share of its style effect against base"] == beside.kept["base"]
    assert f"| {style.ours:.4f} | {style.theirs:.4f} | {style.mean:+.4f} " in table_of_beside(beside)

    back = set_beside(theirs, ours, PLAN, of="adapter", other="joint_adapter")
    assert back.difference("clip").mean == pytest.approx(-style.mean)
    same = set_beside(theirs, theirs, PLAN, of="adapter", other="adapter").difference("clip")
    assert (same.mean, same.low, same.high, same.interval) == (0, 0, 0, "point")


def test_of_an_effect_that_is_not_shown_no_share_is_told(evaluations):
    own = evaluations["own"]
    unsure = replace(own, effects=tuple(replace(effect, low=-1.0) for effect in own.effects))
    assert set_beside(evaluations["all"], unsure, PLAN, of="a", other="b").kept == {}


def test_what_was_drawn_or_judged_otherwise_is_not_compared(evaluations):
    ours, theirs = evaluations["all"], evaluations["own"]
    later = tuple(replace(score, seed=score.seed + 1) for score in theirs.scores)
    elsewhere = tuple(replace(one, value=one.value + (one.metric == "clip") * 0.01) for one in theirs.scores)
    for other, why in (
        (replace(theirs, drawing="another sampler"), "their pictures were drawn otherwise"),
        (replace(theirs, scores=later), "they were asked for other prompts, or drew them from other noise"),
        (replace(theirs, scores=elsewhere), "the base's own pictures have other scores"),
    ):
        beside = set_beside(ours, other, PLAN, of="joint_adapter", other="adapter")
        assert why in beside.why_not
        assert beside.differences == ()
        assert why in str(facts_of_beside(beside)["beside adapter"])
        assert why in table_of_beside(beside)


def test_an_overview_says_whose_stills_each_director_is_nearest_to(evaluations):
    ours, theirs = evaluations["all"], evaluations["own"]
    beside = set_beside(ours, theirs, PLAN, of="joint_adapter", other="adapter")
    unlike = set_beside(ours, replace(theirs, drawing="other"), PLAN, of="joint_adapter", other="adapter")

    def told(**closeness):
        return {**ours.told(), "confusion": {"adapter": closeness}}

    found = overview_of(
        {
            "fincher": (told(fincher=0.5, nolan=0.4), "pass", beside),
            "nolan": (told(fincher=0.6, nolan=0.4, scorsese=0.1), "undecided", unlike),
        },
        {"scorsese": "not evaluated yet"},
    )
    assert {slug: one.nearest for slug, one in found.directors.items()} == {"fincher": "fincher", "nolan": "fincher"}
    assert found.own == 1
    assert found.confusion == {"fincher": {"fincher": 0.5, "nolan": 0.4}, "nolan": {"fincher": 0.6, "nolan": 0.4}}
    assert found.directors["fincher"].beside_style == beside.difference("clip")
    assert overview_from(json.loads(json.dumps(found.told()))) == found
    table = table_of_overview(found)
    assert "| their pictures were drawn otherwise |" in table
    assert "| scorsese | not evaluated yet |" in table
