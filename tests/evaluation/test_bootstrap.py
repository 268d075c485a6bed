"""The interval of a mean: right as often as it says, and clear where there is nothing to resample."""

import numpy as np
import pytest

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.bootstrap import mean_interval

SIMULATIONS = 2000
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


@pytest.mark.parametrize("n", [24, 48])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_covers_the_mean_as_often_as_it_says_and_more_than_percentiles_do(name, n):
    draw, truth = DISTRIBUTIONS[name]
    studentised = percentile = 0
    for simulation in range(SIMULATIONS):
        values = draw(np.random.default_rng([n, simulation]), n)
        found = interval(values, seed=simulation)
        studentised += found.low <= truth <= found.high
        low, high = percentile_interval(values, simulation)
        percentile += low <= truth <= high
    assert 0.93 <= studentised / SIMULATIONS <= 0.97
    assert abs(studentised / SIMULATIONS - 0.95) < abs(percentile / SIMULATIONS - 0.95)


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


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0]])
def test_fewer_than_four_values_are_refused(values):
    with pytest.raises(EvaluationError, match="too few"):
        interval(values)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(EvaluationError, match="not finite"):
        interval([0.0, 1.0, 2.0, float("nan")])
