"""Few steps: what a student is asked, with students whose answers are known."""

import numpy as np
import pytest

from director_diffusion.evaluation.claims import Published, few_steps_claims
from director_diffusion.evaluation.verdict import decide, judge
from tests.evaluation.test_claims import PROMPTS, SEEDS, around, evidence, pictures, plan


def student(style=0.6, prompt=0.3, spread=0.9, nearest=0.8):
    """Evidence for one beside an adapter that comes to 0.6 from a base asked by name at 0.5."""
    grids = {
        "encoder": {
            arm: around(mean, [place])
            for place, (arm, mean) in enumerate(
                {"adapter": style, "published": 0.6, "base": 0.4, "base_in_style": 0.5}.items()
            )
        },
        "prompt": {
            arm: around(mean, [9, place])
            for place, (arm, mean) in enumerate(
                {"adapter": prompt, "published": 0.3, "base": 0.3, "base_in_style": 0.3}.items()
            )
        },
    }
    drawn = {"adapter": pictures(spread, 0), "base": pictures(0.7, 1)}
    return evidence(
        grids=grids,
        pictures=drawn,
        lead={},
        nearest=np.full((PROMPTS, SEEDS), nearest),
        published=Published(grids, PROMPTS),
    )


def answers(given, count=4, **margins):
    return {one.name: one.outcome for one in judge(few_steps_claims(given, plan(margins=margins), count), 0.95)}


def test_a_student_that_draws_as_its_teacher_passes():
    found = answers(student())
    assert found == dict.fromkeys(["style_kept", "prompt_kept", "memorised", "diversity"], "pass")
    findings = judge(few_steps_claims(student(), plan(), 4), 0.95)
    assert decide(findings).outcome == "pass"


@pytest.mark.parametrize(
    ("changes", "refuted"),
    [
        ({"style": 0.55}, "style_kept"),
        ({"prompt": 0.25}, "prompt_kept"),
        ({"spread": 0.2}, "diversity"),
        ({"nearest": 0.95}, "memorised"),
    ],
)
def test_one_that_loses_something_fails_by_that_alone(changes, refuted):
    found = answers(student(**changes))
    assert {name for name, outcome in found.items() if outcome == "fail"} == {refuted}


def test_what_may_go_is_the_plans_share_of_the_effect_beside_the_base_asked_by_name():
    def bound(count=4, **margins):
        asked = few_steps_claims(student(), plan(margins=margins), count)
        (claim,) = (one for one in asked if one.name == "style_kept")
        return claim.bound

    assert bound() == pytest.approx(-0.2 * (0.6 - 0.5))
    assert bound(few_steps=0.05) == pytest.approx(-0.05 * (0.6 - 0.5))
    assert bound(few_steps_in={4: 0.05}) == pytest.approx(-0.05 * (0.6 - 0.5))
    assert bound(2, few_steps_in={4: 0.05}) == bound(2), "where it is another than everywhere"
    assert answers(student(style=0.58), few_steps=0.35)["style_kept"] == "pass"
    assert answers(student(style=0.58), few_steps=0.1)["style_kept"] == "fail"
    assert answers(student(style=0.58), few_steps_in={2: 0.35, 4: 0.1})["style_kept"] == "fail"
    assert answers(student(style=0.58), 2, few_steps_in={2: 0.35, 4: 0.1})["style_kept"] == "pass"


def test_few_prompts_leave_it_open():
    few = {metric: {arm: grid[:6] for arm, grid in arms.items()} for metric, arms in student(style=0.59).grids.items()}
    given = evidence(
        grids=few,
        pictures={"adapter": pictures(0.7, 0), "base": pictures(0.7, 1)},
        lead={},
        published=Published(few, 6),
    )
    assert answers(given)["style_kept"] == "undecided"
