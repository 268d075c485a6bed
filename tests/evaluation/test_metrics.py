"""Metrics over vectors, against values by hand or by another formula."""

import numpy as np
import pytest

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.metrics.distribution import SCALE, SIGMA, cmmd
from director_diffusion.evaluation.metrics.diversity import pairwise_distance, vendi_score
from director_diffusion.evaluation.metrics.memorisation import memorisation_threshold, nearest, nearest_others
from director_diffusion.evaluation.metrics.similarity import closeness, prompt_fidelity


def unit(*rows):
    vectors = np.array(rows, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def some(n, d=12, seed=0, shift=0.0):
    return unit(*(np.random.default_rng(seed).normal(size=(n, d)) + shift))


def test_prompt_fidelity_is_each_image_against_its_own_prompt():
    found = prompt_fidelity(unit([1, 0], [0, 1], [1, 1]), unit([1, 0], [1, 0], [1, 0]))
    assert found == pytest.approx([1, 0, np.sqrt(0.5)], abs=1e-6)


def test_closeness_is_the_mean_cosine_to_every_reference():
    images, stills = unit([1, 0, 0], [1, 2, 3]), unit([1, 0, 0], [0, 1, 0], [3, 4, 1])
    assert closeness(images, stills) == pytest.approx((images @ stills.T).mean(axis=1), abs=2e-6)


def test_cmmd_is_the_u_statistic_term_by_term():
    x, y = some(6, seed=1), some(9, seed=2, shift=0.5)

    def k(a, b):
        return np.exp(-np.square(a.astype(float) - b.astype(float)).sum() / (2 * SIGMA**2))

    expected = (
        np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
        + np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
        - 2 * np.mean([k(a, b) for a in x for b in y])
    )
    assert cmmd(x, y) == pytest.approx(SCALE * expected, rel=1e-6)


def test_cmmd_of_one_distribution_is_0_on_average_at_any_size_and_of_two_is_not():
    same = [cmmd(some(5, seed=2 * n), some(40, seed=2 * n + 1)) for n in range(400)]
    error = np.std(same) / np.sqrt(len(same))
    assert abs(np.mean(same)) < 3 * error
    other = [cmmd(some(5, seed=2 * n), some(40, seed=2 * n + 1, shift=0.3)) for n in range(400)]
    assert np.mean(other) > 10 * error


@pytest.mark.parametrize("measure", [lambda: cmmd(some(1), some(4)), lambda: memorisation_threshold(some(1))])
def test_a_set_of_one_is_refused(measure):
    with pytest.raises(EvaluationError, match=r"2 or more|two or more"):
        measure()


def test_vendi_counts_different_pictures():
    same, orthogonal = unit(*[[1, 2, 3]] * 5), np.eye(7, dtype=np.float32)
    assert vendi_score(same) == pytest.approx(1)
    assert vendi_score(orthogonal) == pytest.approx(7)
    assert vendi_score(np.concatenate([orthogonal[:4]] * 3)) == pytest.approx(4)
    # Two rows at cosine c: the eigenvalues of K/2 are (1 ± c)/2.
    c = 0.6
    entropy = -sum(p * np.log(p) for p in ((1 + c) / 2, (1 - c) / 2))
    assert vendi_score(unit([1, 0], [c, 0.8])) == pytest.approx(np.exp(entropy), rel=1e-6)
    wide = some(8, d=30)
    assert vendi_score(wide) == pytest.approx(vendi_score(np.pad(wide, ((0, 0), (0, 9)))))


def test_distances_are_over_pairs():
    rows = unit([1, 0], [0, 1], [1, 0], [1, 0], [3, 4])
    assert pairwise_distance(rows[[0, 1, 4]]) == pytest.approx((1 + 0.4 + 0.2) / 3, abs=1e-6)


def test_the_nearest_still_of_each_sample_is_found_and_pairs_are_sorted():
    stills = unit([1, 0, 0], [0, 1, 0], [0, 0, 1])
    found = nearest(unit([0, 1, 1.1], [5, 1, 0], [0, 1, 0]), stills)
    assert found.index.tolist() == [2, 0, 1]
    assert found.similarity == pytest.approx([1.1 / np.sqrt(2.21), 5 / np.sqrt(26), 1], abs=1e-6)
    assert found.nearest_first().tolist() == [2, 1, 0]
    assert found.beyond(0.9) == pytest.approx(2 / 3)


def test_the_threshold_is_of_stills_to_their_nearest_other():
    stills = some(200, d=24, seed=3)
    expected = [max(float(np.dot(a, b)) for j, b in enumerate(stills) if i != j) for i, a in enumerate(stills)]
    assert nearest_others(stills).similarity == pytest.approx(expected, abs=2e-6)
    assert memorisation_threshold(stills) == pytest.approx(np.quantile(expected, 0.99), abs=2e-6)


def test_copies_are_beyond_the_threshold_and_new_pictures_of_the_same_kind_hardly_ever():
    stills = some(100, d=24, seed=4)
    threshold = memorisation_threshold(stills)
    copies = unit(*(stills[:8] + np.random.default_rng(5).normal(scale=0.01, size=(8, 24))))
    assert nearest(copies, stills).beyond(threshold) == 1
    assert nearest(some(300, d=24, seed=6), stills).beyond(threshold) < 0.05


def test_two_frames_of_one_shot_set_the_threshold_of_a_small_set_and_are_named():
    stills = some(15, d=24, seed=7)
    frames = np.concatenate([stills, unit(stills[3] + 0.01)])
    assert memorisation_threshold(frames) > 0.99 > memorisation_threshold(stills)
    others = nearest_others(frames)
    assert sorted(others.nearest_first()[:2]) == [3, 15]
    assert others.index[[3, 15]].tolist() == [15, 3]
