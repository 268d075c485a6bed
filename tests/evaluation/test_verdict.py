"""The verdict: what intervals and margins decide, and how it is told."""

import dataclasses

import pytest

from director_diffusion.evaluation.checks import CHECKS, judge
from director_diffusion.evaluation.types import Effect, Evaluation, Score
from director_diffusion.evaluation.verdict import decide
from director_diffusion.specs import Margins

MARGINS = Margins(style=0.01, prompt=0.02)


def effect(metric, against, low, high):
    return Effect(metric, against, (low + high) / 2, low, high, n=24, confidence=0.95, interval="studentised")


def effects(**changes):
    """Four effects that pass, less those given as metric_against=(low, high)."""
    intervals = {
        "style_base": (0.03, 0.06),
        "style_base_in_style": (0.02, 0.05),
        "prompt_base": (-0.01, 0.01),
        "prompt_base_in_style": (-0.015, 0.02),
    } | changes
    return [effect(*name.split("_", 1), low, high) for name, (low, high) in intervals.items()]


def evaluation(**changes):
    found = tuple(effects(**changes))
    score = Score("adapter", 0, 0, prompt_fidelity=0.25, style_closeness=0.5, item="a")
    return Evaluation((score,), found, decide(found, MARGINS), MARGINS, prompts=24, seeds=1, held_out=7)


def test_all_intervals_above_their_bounds_pass():
    verdict = decide(effects(), MARGINS)
    assert verdict.outcome == "pass"
    assert len(verdict.reasons) == 4


@pytest.mark.parametrize(
    ("name", "interval"),
    [
        ("style_base", (0.0, 0.03)),
        ("style_base_in_style", (0.0, 0.03)),
        ("prompt_base", (-0.03, 0.01)),
        ("prompt_base_in_style", (-0.03, 0.01)),
    ],
)
def test_one_interval_across_its_bound_leaves_it_undecided(name, interval):
    assert decide(effects(**{name: interval}), MARGINS).outcome == "undecided"


@pytest.mark.parametrize(
    ("name", "interval"),
    [
        ("style_base", (-0.02, 0.009)),
        ("style_base_in_style", (-0.02, 0.009)),
        ("prompt_base", (-0.06, -0.03)),
        ("prompt_base_in_style", (-0.06, -0.03)),
    ],
)
def test_one_interval_below_its_bound_fails_whatever_the_others_say(name, interval):
    changes = {"style_base": (0.0, 0.03), name: interval}
    assert decide(effects(**changes), MARGINS).outcome == "fail"


def test_superiority_is_strict_so_no_change_at_all_never_passes():
    nothing = dict.fromkeys(("style_base", "style_base_in_style"), (0.0, 0.0))
    assert decide(effects(**nothing), Margins(style=0.0, prompt=0.02)).outcome == "fail"


def test_reasons_name_metric_arm_interval_and_bound():
    reasons = decide(effects(prompt_base=(-0.0512, -0.0301)), MARGINS).reasons
    (reason,) = (reason for reason in reasons if reason.startswith("fail"))
    for part in ("prompt fidelity", "against the base", "-0.0512", "-0.0301", "-0.0200", "24 prompts", "95%"):
        assert part in reason


def test_check_passes_with_the_verdict_and_tells_its_reasons():
    (passed,), (failed,) = judge(evaluation()), judge(evaluation(style_base=(0.0, 0.03)))
    assert (passed.name, passed.passed, passed.blocking) == (CHECKS[0].name, True, False)
    assert not failed.passed
    assert "undecided" in failed.description
    assert "+0.0300" in failed.description


def test_evaluation_reads_back_and_is_written_in_equal_bytes(tmp_path):
    one = evaluation()
    one.write(tmp_path / "a")
    Evaluation.read(tmp_path / "a").write(tmp_path / "b")
    assert Evaluation.read(tmp_path / "a") == one
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_evaluation_finds_an_effect_by_metric_and_arm():
    one = evaluation()
    assert one.effect("prompt", "base_in_style") == one.effects[3]
    assert dataclasses.replace(one, effects=one.effects[:1]).effect("style", "base").low == 0.03
