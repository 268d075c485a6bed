"""The verdict: what claims come to together, and how it is told."""

import dataclasses
import json
from dataclasses import dataclass

import pytest

from director_diffusion.evaluation.checks import CHECKS
from director_diffusion.evaluation.checks import judge as checks_of
from director_diffusion.evaluation.facts import facts_of
from director_diffusion.evaluation.statistics.bootstrap import Interval
from director_diffusion.evaluation.types import (
    ArmSet,
    Effect,
    Evaluation,
    Finding,
    Memorisation,
    Pair,
    Score,
    effects_from,
    verdict_from,
)
from director_diffusion.evaluation.verdict import Claim, decide, judge
from director_diffusion.specs import Margins


@dataclass(frozen=True)
class Told:
    """A value whose p-values are given."""

    above: float
    below: float
    mean: float = 0.05

    def interval(self, confidence):
        return Interval(self.mean, self.mean - 0.02, self.mean + 0.03, 24, "studentised")

    def p_above(self, bound):
        return self.above

    def p_below(self, bound):
        return self.below


def claim(name, *, holds=0.5, fails=0.5, above=True, shown=True, mean=0.05, bound=0.01):
    """A claim for and against which the data speak so."""
    told = Told(holds, fails, mean) if above else Told(fails, holds, mean)
    return Claim(name, f"the {name}", "superiority", told, bound, above=above, shown=shown)


def answers(*claims):
    return {finding.name: (finding.outcome, finding.p) for finding in judge(claims, 0.95)}


# claims


def test_a_claim_holds_is_refuted_or_neither():
    assert answers(claim("a", holds=0.02))["a"] == ("pass", 0.02)
    assert answers(claim("a", holds=0.03))["a"] == ("undecided", 0.03)
    assert answers(claim("a", fails=0.02))["a"] == ("fail", 0.02)


def test_what_must_lie_below_a_bound_is_asked_the_other_way_round():
    assert answers(claim("a", holds=0.02, above=False))["a"][0] == "pass"
    assert answers(claim("a", fails=0.02, above=False))["a"][0] == "fail"


def test_p_values_for_the_claims_are_corrected_for_their_number():
    assert answers(claim("a", holds=0.02), claim("b", holds=0.02)) == {
        "a": ("undecided", 0.04),
        "b": ("undecided", 0.04),
    }
    assert answers(claim("a", holds=0.012), claim("b", holds=0.025)) == {"a": ("pass", 0.024), "b": ("pass", 0.025)}


def test_and_so_are_those_against_them_as_a_family_of_their_own():
    both = answers(claim("a", fails=0.02), claim("b", holds=0.012))
    assert both["a"] == ("undecided", 0.5), "twice 0.02 refutes nothing"
    assert both["b"] == ("pass", 0.024)
    assert answers(claim("a", fails=0.012), claim("b", holds=0.012))["a"] == ("fail", 0.024)


def test_what_need_not_be_shown_holds_unless_it_is_refuted_or_the_value_is_wrong():
    assert answers(claim("a", shown=False, fails=0.9))["a"] == ("pass", 0.9)
    assert answers(claim("a", shown=False, fails=0.3, mean=0.0))["a"] == ("undecided", 0.3)
    assert answers(claim("a", shown=False, fails=0.01, mean=0.0))["a"] == ("fail", 0.01)


def test_and_costs_the_others_nothing_where_they_must_be_shown():
    beside = [claim(f"not shown {place}", shown=False) for place in range(5)]
    assert answers(claim("a", holds=0.02), *beside)["a"] == ("pass", 0.02)
    assert answers(claim("a", fails=0.02), *beside)["a"][0] == "undecided", "against them, all are one family"


def test_a_reason_names_the_value_its_interval_and_bound_and_how_sure_it_is():
    passed, failed = judge([claim("style", holds=0.004), claim("other", fails=0.012, mean=-0.05)], 0.95)
    for part in ("pass: the style", "+0.0500", "[+0.0300, +0.0800]", "24 prompts", "95%", "above +0.0100", "p = 0.008"):
        assert part in passed.reason
    assert "against it p = 0.024 after Holm" in failed.reason
    (kept,) = judge([claim("limit", above=False, shown=False, mean=0.0)], 0.95)
    assert "below +0.0100 (against it p = 0.5" in kept.reason


def test_no_claims_are_no_findings():
    assert judge([], 0.95) == ()


# their sum


def finding(name, outcome="pass"):
    return Finding(name, outcome, f"{outcome}: {name}", 0.05, 0.03, 0.08, 0.01, True, 0.01)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (("pass", "pass", "pass"), "pass"),
        (("pass", "undecided", "pass"), "undecided"),
        (("pass", "undecided", "fail"), "fail"),
        (("fail", "fail", "fail"), "fail"),
    ],
)
def test_all_must_hold_and_none_be_refuted(outcomes, verdict):
    found = decide([finding(f"q{place}", outcome) for place, outcome in enumerate(outcomes)])
    assert found.outcome == verdict
    assert found.reasons == tuple(f"{outcome}: q{place}" for place, outcome in enumerate(outcomes))


def test_of_a_thousand_directors_the_nearest_are_told():
    others = [
        dataclasses.replace(finding(f"nearer_than_d{place}", "undecided" if place == 7 else "pass"), value=value)
        for place, value in enumerate((0.5, 0.1, 0.4, 0.2, 0.3, 0.9, 0.0, 0.8, 0.7))
    ]
    found = decide([finding("style_base"), *others])
    assert found.outcome == "undecided"
    assert found.reasons[0] == "pass: style_base"
    assert [one.rpartition("_")[2] for one in found.reasons[1:-1]] == ["d1", "d2", "d3", "d4", "d6"]
    assert found.reasons[-1].startswith(
        "undecided: closeness to the director's held-out stills less that to each of 4 "
    )
    assert found.reasons[-1].endswith("further directors' is larger than to those (3 pass, 1 undecided)")
    assert decide([finding("style_base"), *others[:5]]).reasons[-1] == "pass: nearer_than_d4"


# how it is told

EFFECTS = tuple(
    Effect(metric, against, part, 0.05, 0.03, 0.08, 24, 2, 0.95, "studentised", 0.01, error)
    for metric, error in (("clip", 0.02), ("prompt", None))
    for against in ("base", "base_in_style")
    for part in ("all", "own")
)
NAMES = ("style_base", "style_base_in_style", "prompt_base", "prompt_base_in_style", "memorised", "diversity")


def evaluation(**outcomes):
    """An evaluation whose questions hold, but these."""
    found = tuple(finding(name, outcomes.get(name, "pass")) for name in dict.fromkeys((*NAMES, *outcomes)))
    one = ArmSet(cmmd=1.5, vendi=6.0, distance=0.4)
    return Evaluation(
        tier="draft",
        drawing="d",
        scores=(Score("adapter", 0, 0, "clip", 0.5, "a"),),
        effects=EFFECTS,
        findings=found,
        verdict=decide(found),
        style="clip",
        margins=Margins(style=0.1),
        prompts=24,
        seeds=(11, 12),
        folds=1,
        held_out=7,
        reference=0.7,
        arms={"base": one, "base_in_style": one, "adapter": dataclasses.replace(one, vendi=5.0)},
        memorisation=Memorisation(threshold=0.9, share=0.0, chance=0.1, nearest=0.85),
        confusion={"adapter": {"nolan": 0.7, "fincher": 0.5}},
        published="",
        lacking={"verdict": "nobody knows"},
        notes=("A remark.",),
        pairs=(Pair("p.png", "a house", 11, "s", "film", "1.jpg", 0.85, False),),
    )


def test_the_verdict_and_each_of_its_questions_is_a_check_that_blocks_nothing():
    outcomes = {one.name: one for one in checks_of(evaluation(diversity="undecided"))}
    assert list(outcomes) == [check.name for check in CHECKS]
    assert not any(one.blocking for one in outcomes.values())
    failed = {name for name, one in outcomes.items() if not one.passed}
    assert failed == {"verdict", "diversity"}
    assert outcomes["verdict"].description.startswith("undecided. pass: style_base.")
    assert outcomes["verdict"].description.endswith("A remark.")
    assert outcomes["verdict"].metadata == {"outcome": "undecided", "tier": "draft"}
    assert outcomes["diversity"].description == "undecided: diversity."
    assert outcomes["prompt"].metadata["prompt_base"] == "+0.0500 [+0.0300, +0.0800]"


def test_what_there_was_nothing_to_compare_with_is_said_not_to_be_asked():
    outcomes = {one.name: one for one in checks_of(evaluation())}
    for name in ("own_style", "no_regression"):
        assert outcomes[name].passed
        assert outcomes[name].description.startswith("Not asked")
    asked = {one.name: one for one in checks_of(evaluation(nearer_than_fincher="fail", style_published="fail"))}
    assert not asked["own_style"].passed
    assert not asked["no_regression"].passed
    assert asked["style"].passed, "the version before is another question than the bases"


def test_evaluation_reads_back_and_is_written_in_equal_bytes(tmp_path):
    one = evaluation(style_base="fail", nearer_than_fincher="pass")
    one.write(tmp_path / "a")
    Evaluation.read(tmp_path / "a").write(tmp_path / "b")
    assert Evaluation.read(tmp_path / "a") == one
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert effects_from(json.loads((tmp_path / "a/effects.json").read_text())) == one.effects
    assert verdict_from(json.loads((tmp_path / "a/verdict.json").read_text())) == one.verdict


def test_stills_are_named_in_one_file_alone(tmp_path):
    evaluation().write(tmp_path)
    naming = {path.name for path in tmp_path.iterdir() if b"1.jpg" in path.read_bytes()}
    assert naming == {"nearest_stills.parquet"}


def test_an_effect_is_found_by_metric_arm_and_part():
    one = evaluation()
    assert one.effect("prompt", "base_in_style") == EFFECTS[6]
    assert one.effect("clip", "base", "own") == EFFECTS[1]


def test_facts_are_named_the_same_at_every_reevaluation_so_that_they_can_be_plotted():
    facts = facts_of(evaluation())
    assert facts["verdict"] == "pass"
    assert (facts["style effect"], facts["style effect, low"], facts["style effect, high"]) == (0.05, 0.03, 0.08)
    assert facts["style effect that would be found"] == pytest.approx(0.028)
    assert facts["style effect that would be found over stills too"] == pytest.approx(2.8 * 0.0005**0.5)
    assert (facts["Vendi score"], facts["Vendi score of the base"]) == (5.0, 6.0)
    assert (facts["prompts"], facts["seeds"], facts["held-out stills"]) == (24, 2, 7)
    assert list(facts) == list(facts_of(evaluation(style_base="fail", style_published="fail")))
