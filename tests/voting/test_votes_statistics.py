"""What votes say, against closed forms, scipy, and voters whose minds are known."""

import json
import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from director_diffusion.voting.statistics.bradley_terry import bradley_terry, fit
from director_diffusion.voting.statistics.rate import rate_of, wilson
from director_diffusion.voting.statistics.resampling import group_weights, percentile_bounds

BOTH_WAYS = [(0, 1), (1, 0)]
DESIGN = np.array([[1.0, -1, 1, 0], [-1, 1, 1, 0]])
ALL = [(i, j) for i in range(3) for j in range(3) if i != j]


@pytest.mark.parametrize(("count", "n"), [(0, 1), (0, 7), (3, 10), (10, 10), (57, 99), (1, 4000)])
def test_wilson_is_scipys(count: int, n: int) -> None:
    expected = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    assert wilson(count, n, 0.95) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_and_of_half_votes() -> None:
    assert wilson(0, 0, 0.95) == (0, 1)
    low, high = wilson(2.5, 5, 0.95)
    assert low + high == pytest.approx(1)


def test_a_rate_counts_a_tie_as_half_and_leaves_who_did_not_vote_out() -> None:
    scores = np.array([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 0]])
    votes = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]])
    rate = rate_of(scores, votes, 0.95)
    assert rate is not None
    assert (rate.share, rate.n, rate.voters, rate.prompts) == (2.5 / 4, 4, 2, 2)
    assert (rate.by_voter, rate.by_prompt) == (None, None), "two voters say nothing of how voters differ"
    assert (rate.low, rate.high) == pytest.approx(rate.wilson)
    assert rate_of(np.zeros((2, 3)), np.zeros((2, 3), np.int64), 0.95) is None


def test_votes_of_one_mind_are_not_taken_for_independent() -> None:
    """Ten voters with forty votes each, of whom each always says the same, are ten votes."""
    scores = np.repeat(np.array([[1.0]] * 7 + [[0.0]] * 3), 40, axis=1)
    rate = rate_of(scores, np.ones((10, 40), np.int64), 0.95)
    assert rate is not None
    assert rate.by_voter is not None
    assert rate.by_voter[0] < 0.45 < 0.65 < rate.wilson[0]
    assert rate.low <= rate.by_voter[0]
    turned = rate_of(scores.T, np.ones((40, 10), np.int64), 0.95)
    assert turned is not None
    assert turned.by_prompt == rate.by_voter


def test_all_of_one_mind_are_as_many_votes_as_there_are_voters() -> None:
    rate = rate_of(np.ones((10, 40)), np.ones((10, 40), np.int64), 0.95)
    assert rate is not None
    assert rate.by_voter is not None
    assert rate.by_voter == pytest.approx(wilson(10, 10, 0.95))
    assert rate.low <= rate.by_voter[0] < 0.75 < rate.wilson[0]
    assert rate.high == 1


def test_a_group_is_drawn_as_a_whole() -> None:
    weights = group_weights(7)
    assert set(weights.sum(axis=1)) == {7.0}
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.1)
    assert percentile_bounds(np.arange(100.0), 4, 0.95) is None
    assert percentile_bounds(np.array([0.5] * 90 + [np.nan] * 10), 20, 0.95) is None


def test_intervals_cover_what_is_true_where_voters_and_prompts_differ() -> None:
    """Wilson's does not, which is why the others are there."""
    rng, trials, covered, alone = np.random.default_rng(3), 150, 0, 0
    truth = expit(0.8 + 0.8 * rng.normal(size=200_000) + 0.5 * rng.normal(size=200_000)).mean()
    for _ in range(trials):
        p = expit(0.8 + 0.8 * rng.normal(size=(14, 1)) + 0.5 * rng.normal(size=(1, 24)))
        votes = (rng.random(p.shape).argsort(axis=1) < 12).astype(np.int64)
        rate = rate_of((rng.random(p.shape) < p) * votes.astype(float), votes, 0.95)
        assert rate is not None
        covered += rate.low <= truth <= rate.high
        alone += rate.wilson[0] <= truth <= rate.wilson[1]
    assert covered / trials > 0.9
    assert alone / trials < 0.88


def test_two_sides_in_closed_form() -> None:
    """Where counts are those of the model, s_0 − s_1 = ½ ln(r_1 r_2), b = ½ ln(r_1 / r_2) of the odds for A, t = 0."""
    theta = fit(DESIGN, np.array([[16.0, 4, 8], [9, 4, 6]]), ridge=1e-10)
    assert theta[0] - theta[1] == pytest.approx(0.5 * math.log(4 / (9 / 4)))
    assert theta[0] + theta[1] == pytest.approx(0, abs=1e-6)
    assert theta[2] == pytest.approx(0.5 * math.log(4 * 9 / 4))
    assert theta[3] == pytest.approx(0, abs=1e-6)
    nu = fit(DESIGN, np.array([[5.0, 5, 20], [5, 5, 20]]), ridge=1e-10)[3]
    assert nu == pytest.approx(math.log(4)), "of equal sides, ties : wins = ν"


def test_without_ties_and_bias_it_is_a_logistic_regression() -> None:
    """Wins 30 : 10 over one, 20 : 20 between it and a third, as often on either side: transitive odds of 3 and 1."""
    counts = np.array([[15.0, 5, 0], [15, 5, 0], [5, 15, 0], [10, 10, 0], [5, 15, 0], [10, 10, 0]])
    design = np.zeros((6, 5))
    for row, (a, b) in enumerate(ALL):
        design[row, [a, b, 3]] = 1, -1, 1
    theta = fit(design, counts, ridge=1e-6)
    assert theta[0] - theta[1] == pytest.approx(math.log(3), abs=1e-3)
    assert theta[1] - theta[2] == pytest.approx(0, abs=1e-3)
    assert theta[3] == pytest.approx(0, abs=1e-3)


def test_one_who_won_every_vote_is_strong_and_finite() -> None:
    theta = fit(DESIGN, np.array([[500.0, 0, 0], [0, 500, 0]]))
    assert 4 < theta[0] - theta[1] < 15
    assert np.isfinite(theta).all()
    assert fit(DESIGN, np.zeros((2, 3))) == pytest.approx(np.zeros(4))


def test_many_fits_at_once_are_the_same_as_one_by_one() -> None:
    counts = np.random.default_rng(0).integers(0, 40, size=(30, 2, 3)).astype(float)
    assert fit(DESIGN, counts) == pytest.approx(np.stack([fit(DESIGN, one) for one in counts]), abs=1e-6)


def drawn_votes(rng: np.random.Generator, theta: np.ndarray, voters: int, each: int, spread: float) -> np.ndarray:
    """Votes (voters, cells, 3) by voters whose own strengths scatter around the common ones."""
    counts = np.zeros((voters, len(ALL), 3), np.int64)
    for voter in range(voters):
        own = theta[:3] + spread * rng.normal(size=3)
        for cell, (a, b) in enumerate(ALL):
            d = own[a] - own[b] + theta[3]
            weights = np.exp([d / 2, -d / 2, theta[4]])
            counts[voter, cell] = rng.multinomial(each, weights / weights.sum())
    return counts


def test_strengths_ties_and_side_bias_come_back() -> None:
    truth = np.array([0.9, -0.2, -0.7, 0.4, -0.5])
    found = bradley_terry(ALL, drawn_votes(np.random.default_rng(5), truth, 200, 20, 0.0), 3, 0.95)
    assert [one.value for one in found.strengths] == pytest.approx(truth[:3], abs=0.06)
    assert found.side_bias.value == pytest.approx(0.4, abs=0.06)
    assert found.ties.value == pytest.approx(-0.5, abs=0.06)
    assert found.linked


def test_intervals_of_strengths_cover_the_truth() -> None:
    truth, rng = np.array([0.6, 0.0, -0.6, 0.3, -0.8]), np.random.default_rng(8)
    trials, covered = 60, np.zeros(5)
    for _ in range(trials):
        found = bradley_terry(ALL, drawn_votes(rng, truth, 15, 3, 0.3), 3, 0.95)
        for place, one in enumerate((*found.strengths, found.side_bias, found.ties)):
            assert one.by_voter is not None
            covered[place] += one.by_voter[0] <= truth[place] <= one.by_voter[1]
    assert (covered / trials > 0.85).all(), covered / trials
    assert covered.mean() / trials > 0.9


def test_sides_that_nothing_links_are_not_compared() -> None:
    counts = np.ones((6, 2, 3), np.int64)
    found = bradley_terry([(0, 1), (2, 3)], counts, 4, 0.95)
    assert not found.linked
    assert sum(one.value for one in found.strengths[:2]) == pytest.approx(0)
    assert not bradley_terry([], np.zeros((0, 0, 3), np.int64), 2, 0.95).linked
    json.dumps([one.value for one in found.strengths], allow_nan=False)
