"""The interval of a mean and its p-values: right as often as they say, and clear where there is nothing to resample."""

import numpy as np
import pytest

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.statistics.bootstrap import mean_interval, mean_test

SIMULATIONS = 2000  # benchmarks/bootstrap_coverage.py has more of everything
DISTRIBUTIONS = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "exponential": (lambda rng, n: rng.exponential(size=n), 1.0),
}


def interval(values, **changes):
    return mean_interval(values, **{"confidence": 0.95, "resamples": 1000, "seed": 0} | changes)


def percentile_interval(values, seed):
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, values.size, size=(1000, values.size))].mean(axis=1)
    return np.quantile(means, [0.025, 0.975])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_covers_the_mean_as_often_as_it_says_and_more_than_percentiles_do(name):
    (draw, truth), n = DISTRIBUTIONS[name], 24
    studentised = percentile = 0
    for simulation in range(SIMULATIONS):
        values = draw(np.random.default_rng([n, simulation]), n)
        found = interval(values, seed=simulation)
        studentised += found.low <= truth <= found.high
        low, high = percentile_interval(values, simulation)
        percentile += low <= truth <= high
    assert 0.93 <= studentised / SIMULATIONS <= 0.97
    assert abs(studentised / SIMULATIONS - 0.95) < abs(percentile / SIMULATIONS - 0.95)


def test_covers_the_mean_over_prompts_and_seeds():
    covered = 0
    for simulation in range(SIMULATIONS // 2):
        rng = np.random.default_rng([7, simulation])
        values = rng.normal(size=(24, 1)) + 2 * rng.normal(size=(24, 2))
        found = interval(values, seed=simulation, resamples=400)
        covered += found.low <= 0 <= found.high
    assert 0.93 <= covered / (SIMULATIONS // 2) <= 0.97


def test_more_seeds_of_the_same_prompts_are_no_more_prompts():
    rng = np.random.default_rng(8)
    values = rng.normal(size=24)[:, None] + 0.01 * rng.normal(size=(24, 6))
    several, one, flat = (interval(x, resamples=4000) for x in (values, values.mean(axis=1), values.ravel()))
    assert (several.n, one.n, flat.n) == (24, 24, 144)
    assert several.mean == pytest.approx(one.mean)
    assert several.high - several.low == pytest.approx(one.high - one.low, rel=0.05)
    assert flat.high - flat.low < 0.6 * (one.high - one.low), "what counting pictures would have claimed"


@pytest.mark.parametrize("values", [np.random.default_rng(9).exponential(size=30), [0.0] * 23 + [1.0]])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_p_values_and_intervals_say_the_same(values, confidence):
    test = mean_test(values, resamples=4000, seed=0)
    found, alpha, little = test.interval(confidence), (1 - confidence) / 2, 0.01 * test.error
    assert test.p_above(found.low - little) < alpha < test.p_above(found.low + little)
    assert test.p_below(found.high + little) < alpha < test.p_below(found.high - little)
    assert test.p_above(test.mean) > 0.2
    assert test.p_below(test.mean) > 0.2


def test_p_values_of_a_point_are_certain():
    test = mean_test([0.25] * 6, resamples=200, seed=0)
    assert (test.p_above(0.2), test.p_above(0.25), test.p_below(0.25), test.p_below(0.3)) == (0, 1, 1, 0)


def test_a_p_value_is_never_0_where_values_were_resampled():
    test = mean_test(np.random.default_rng(10).normal(size=24), resamples=999, seed=0)
    assert test.p_above(-1e6) == 1 / (test.t.size + 1)


def test_interval_scales_and_shifts_with_its_values():
    values = np.random.default_rng(1).exponential(size=30)
    plain, moved = interval(values), interval(values * 3 - 7)
    assert [moved.low, moved.mean, moved.high] == pytest.approx(
        [3 * x - 7 for x in (plain.low, plain.mean, plain.high)]
    )


def test_skewed_values_get_a_skewed_interval():
    found = interval(np.random.default_rng(2).exponential(size=40), resamples=4000)
    assert found.kind == "studentised"
    assert found.high - found.mean > 1.1 * (found.mean - found.low)


def test_same_seed_gives_the_same_interval_and_another_nearly_so():
    values = np.random.default_rng(3).normal(size=24)
    assert interval(values, seed=4) == interval(values, seed=4)
    other = interval(values, seed=5, resamples=20_000)
    assert other != interval(values, seed=6, resamples=20_000)
    assert other.low == pytest.approx(interval(values, seed=6, resamples=20_000).low, abs=0.02)


def test_more_confidence_is_wider():
    values = np.random.default_rng(7).normal(size=24)
    narrow, wide = interval(values, confidence=0.8), interval(values, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_equal_values_are_a_point_and_say_so():
    found = interval([0.25] * 6)
    assert (found.kind, found.low, found.mean, found.high) == ("point", 0.25, 0.25, 0.25)


def test_one_odd_value_among_equal_ones_is_students_interval():
    found = interval([0.0] * 23 + [1.0])
    assert found.kind == "student_t"
    assert found.low < 0 < found.mean < found.high


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], np.ones((3, 8)), np.ones((4, 0))])
def test_fewer_than_four_prompts_are_refused(values):
    with pytest.raises(EvaluationError, match="too few"):
        interval(values)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(EvaluationError, match="not finite"):
        interval([0.0, 1.0, 2.0, float("nan")])
