"""Shares and several p-values at once, against values by hand and by another formula."""

import numpy as np
import pytest
from scipy import stats

from director_diffusion.evaluation.statistics.holm import holm
from director_diffusion.evaluation.statistics.share import ShareTest


@pytest.mark.parametrize(("count", "n"), [(0, 48), (1, 48), (5, 24), (24, 24), (0, 4)])
def test_a_share_has_clopper_and_pearsons_interval(count, n):
    found = ShareTest(count, n).interval(0.95)
    expected = stats.binomtest(count, n).proportion_ci(0.95, method="exact")
    assert (found.mean, found.n, found.kind) == (count / n, n, "exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("count", "bound"), [(0, 0.1), (3, 0.1), (5, 0.3)])
def test_p_values_of_a_share_are_binomial(count, bound):
    test = ShareTest(count, 24)
    assert test.p_below(bound) == pytest.approx(stats.binomtest(count, 24, bound, alternative="less").pvalue)
    assert test.p_above(bound) == pytest.approx(stats.binomtest(count, 24, bound, alternative="greater").pvalue)


def test_none_of_36_prompts_is_the_least_that_shows_less_than_a_tenth():
    assert ShareTest(0, 35).p_below(0.1) > 0.025 > ShareTest(0, 36).p_below(0.1)
    assert ShareTest(0, 35).interval(0.95).high > 0.1 > ShareTest(0, 36).interval(0.95).high


def test_holm_multiplies_by_how_many_are_left_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0], "no p-value is above 1"
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_raises_a_false_alarm_in_the_whole_family_no_more_often_than_said():
    rng, families = np.random.default_rng(0), 4000
    p_values = rng.uniform(size=(families, 6))
    alarms = sum(min(holm(row)) <= 0.05 for row in p_values.tolist())
    alone = (p_values <= 0.05).any(axis=1).sum()
    assert alarms / families == pytest.approx(0.05, abs=0.012)
    assert alone / families > 0.2, "what each by itself would have raised"


def test_holm_accepts_what_bonferroni_would_not():
    p_values = [0.001, 0.02, 0.02]
    assert max(holm(p_values)) <= 0.05 < len(p_values) * max(p_values)
