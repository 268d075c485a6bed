"""Scores of vectors, and effects paired by prompt and seed."""

import numpy as np
import pytest

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.scores import (
    paired_effects,
    prompt_differences,
    prompt_fidelity,
    style_closeness,
)
from director_diffusion.evaluation.types import Score
from director_diffusion.specs import Embedder, EvaluationPlan, FolderSource, Prompt


def unit(*rows):
    vectors = np.array(rows, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def plan(prompts=6, seeds=(0, 1)):
    return EvaluationPlan(
        slug="p",
        prompts=tuple(Prompt(text=f"prompt {i}", subject="s") for i in range(prompts)),
        seeds=seeds,
        embedder=Embedder(model="m", source=FolderSource(kind="folder", folder="f")),
        resamples=500,
    )


def scores(value):
    """Scores of all arms; `value(arm, prompt, seed)` gives (fidelity, closeness)."""
    return [
        Score(arm, prompt, seed, *value(arm, prompt, seed), item=f"{arm}{prompt}{seed}")
        for arm in ("base", "base_in_style", "adapter")
        for prompt in range(6)
        for seed in (0, 1)
    ]


def test_prompt_fidelity_is_each_image_against_its_own_prompt():
    found = prompt_fidelity(unit([1, 0], [0, 1], [1, 1]), unit([1, 0], [1, 0], [1, 0]))
    assert found == pytest.approx([1, 0, np.sqrt(0.5)], abs=1e-6)


def test_style_closeness_is_the_mean_cosine_to_every_held_out_still():
    images, stills = unit([1, 0, 0], [1, 2, 3]), unit([1, 0, 0], [0, 1, 0], [3, 4, 1])
    assert style_closeness(images, stills) == pytest.approx((images @ stills.T).mean(axis=1), abs=2e-6)


def test_effects_are_adapter_minus_other_arm_for_both_metrics():
    gain = {"base": (0.30, 0.50), "base_in_style": (0.28, 0.55), "adapter": (0.29, 0.65)}
    effects = paired_effects(scores(lambda arm, prompt, seed: gain[arm]), plan())
    means = {(effect.metric, effect.against): effect.mean for effect in effects}
    assert means == pytest.approx(
        {
            ("style", "base"): 0.15,
            ("style", "base_in_style"): 0.10,
            ("prompt", "base"): -0.01,
            ("prompt", "base_in_style"): 0.01,
        }
    )
    assert {effect.n for effect in effects} == {6}


def test_what_prompts_and_seeds_share_cancels_in_pairs():
    def value(arm, prompt, seed):
        shared = 0.1 * prompt + 0.01 * seed
        return 0.3 + shared, 0.5 + shared + (0.02 if arm == "adapter" else 0.0)

    found = prompt_differences(scores(value), "style", "base")
    assert found == pytest.approx([0.02] * 6)


def test_seeds_of_a_prompt_are_averaged_first():
    def value(arm, prompt, seed):
        return 0.0, float(arm == "adapter") * (prompt + (0.5 if seed else -0.5))

    assert prompt_differences(scores(value), "style", "base").tolist() == [0, 1, 2, 3, 4, 5]


def test_order_of_scores_does_not_matter():
    rng = np.random.default_rng(0)
    some = scores(lambda arm, prompt, seed: tuple(rng.uniform(size=2)))
    assert paired_effects(some, plan()) == paired_effects(some[::-1], plan())


def test_arms_of_different_prompts_are_refused():
    some = [score for score in scores(lambda *_: (0.0, 0.0)) if (score.arm, score.prompt_index) != ("base", 2)]
    with pytest.raises(EvaluationError, match="same prompts and seeds"):
        paired_effects(some, plan())
