"""Two folds: style is judged by adapters that each lack some stills, all else by the one that learned them all."""

import pytest

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.earlier import Before
from director_diffusion.evaluation.folds import folds_of
from director_diffusion.sampling.prompts import arms_asked
from tests.evaluation.bench import BLUE, DIRECTOR, DRAWING, GREEN, RED, Bench, outcomes, plan_of

PLAN = plan_of(prompts=10, seeds=(0,), folds=2)
BASES = {"base": GREEN, "base_in_style": GREEN}
PURPLE = (115, 50, 115)  # between what the two folds hold out
GOOD = {**BASES, "adapter": PURPLE, "first_fold": BLUE, "second_fold": RED}  # as the stills that each does not know


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def learned(bench):
    """Which stills each adapter has learned."""
    first, second = folds_of(bench.stills, PLAN, DIRECTOR)
    everything = bench.stills.kept
    return {
        arm: dict.fromkeys((still.still for still in stills), "train")
        for arm, stills in (("adapter", everything), (first.arm, first.train), (second.arm, second.train))
    }


def draw(bench, **colours):
    return bench.draw(PLAN, arms=arms_asked(PLAN), **{**GOOD, **colours})


def test_each_still_of_the_two_folds_judges_an_adapter_that_has_not_learned_it(bench, learned):
    first, second = folds_of(bench.stills, PLAN, DIRECTOR)
    assert {still.still for still in first.held_out}.isdisjoint({still.still for still in second.held_out})
    for fold in (first, second):
        assert learned[fold.arm].keys().isdisjoint({still.still for still in fold.held_out})
    with pytest.raises(EvaluationError, match="that are held out now are known"):
        bench.judge(PLAN, draw(bench), learned={**learned, "second_fold": learned["adapter"]})


def test_style_is_that_of_the_folds_and_all_else_the_adapters(bench, learned):
    found = bench.judge(PLAN, draw(bench), learned=learned)
    assert found.verdict.outcome == "pass", found.verdict.reasons
    assert (found.folds, found.held_out) == (2, 5)
    assert found.effect("clip", "base").low > 0
    clip = {score.arm for score in found.scores if score.metric == "clip"}
    assert clip == {"base", "base_in_style", "first_fold", "second_fold"}, "a picture's own, to stills not learned"
    assert {score.arm for score in found.scores if score.metric == "prompt"} == {*clip, "adapter"}
    assert set(found.arms) == {"base", "base_in_style", "adapter"}
    assert found.arms["adapter"].cmmd < found.arms["base"].cmmd
    assert found.effect("clip", "base").stills_error > 0


def test_an_adapter_that_goes_out_without_the_style_that_two_others_have_does_not_pass(bench, learned):
    found = bench.judge(PLAN, draw(bench, adapter=GREEN), learned=learned)
    told = outcomes(found)
    assert told["style_base"] == "pass"
    assert told["released_style_base"] != "pass"
    assert found.verdict.outcome != "pass"


def test_an_adapter_near_stills_that_it_has_learned_shows_nothing_by_that(bench, learned):
    samples = draw(bench, adapter=BLUE, first_fold=GREEN, second_fold=GREEN)
    assert outcomes(bench.judge(PLAN, samples, learned=learned))["style_base"] != "pass"


def test_copies_of_any_still_are_looked_for_in_the_adapters_pictures(bench, learned):
    held_out = bench.stills.held_out[0]
    found = bench.judge(PLAN, bench.draw(PLAN, arms=arms_asked(PLAN), copied=[held_out], **GOOD), learned=learned)
    assert found.pairs[0].still == held_out.still, "which it has learned"


def test_a_version_before_is_compared_fold_by_fold(bench, learned):
    pictures = bench.draw(PLAN, arms=("adapter", "first_fold", "second_fold"), salt=1, **GOOD)
    before = Before("ab" * 32, DRAWING, pictures, learned)
    found = bench.judge(PLAN, draw(bench), learned=learned, before=before)
    told = outcomes(found)
    assert (told["style_published"], told["prompt_published"]) == ("pass", "pass")
    lost = bench.judge(PLAN, draw(bench, first_fold=GREEN, second_fold=GREEN), learned=learned, before=before)
    assert outcomes(lost)["style_published"] == "fail"
    one_fold = Before("ab" * 32, DRAWING, pictures[:10], {"adapter": learned["first_fold"]})
    told = outcomes(bench.judge(PLAN, draw(bench), learned=learned, before=one_fold))
    assert "style_published" not in told
    assert "prompt_published" in told
