"""Effects: paired by prompt and noise, told for own and novel prompts apart, with what the choice of stills adds."""

import numpy as np
import pytest

from director_diffusion.evaluation.effects import StillsSplit, by_still, paired_effects
from director_diffusion.evaluation.metrics.similarity import closeness
from director_diffusion.evaluation.statistics.bootstrap import mean_interval
from director_diffusion.specs import EvaluationPlan

PROMPTS, SEEDS = 10, 2
SOURCE = {"kind": "folder", "folder": "f"}
PLAN = EvaluationPlan.model_validate(
    {
        "slug": "p",
        "prompts": [{"text": f"prompt {i}", "subject": "s"} for i in range(PROMPTS)],
        "embedder": {"model": "m", "source": SOURCE},
        "encoder": {"model": "m", "source": SOURCE},
        "margins": {"memorised": 0.5},
        "resamples": 1000,
        "confidence": 0.9,
        "bootstrap_seed": 5,
    }
)
OWN = [False] * PROMPTS
ARMS = ("base", "base_in_style", "adapter")


def noise(seed, shape=(PROMPTS, SEEDS)):
    return np.random.default_rng(seed).normal(size=shape)


def effects(grids, *, novel=OWN, splits=None, others=("base", "base_in_style")):
    found = paired_effects(grids, others, novel, splits or {}, PLAN)
    return {(effect.metric, effect.against, effect.part): effect for effect in found}


def test_effects_are_adapter_minus_other_arm_for_every_metric():
    values = {"prompt": (0.30, 0.28, 0.29), "clip": (0.50, 0.55, 0.65)}
    grids = {
        metric: {arm: np.full((PROMPTS, SEEDS), value) for arm, value in zip(ARMS, each, strict=True)}
        for metric, each in values.items()
    }
    means = {name: effect.mean for name, effect in effects(grids).items()}
    assert means == pytest.approx(
        {
            ("prompt", "base", "all"): -0.01,
            ("prompt", "base_in_style", "all"): 0.01,
            ("clip", "base", "all"): 0.15,
            ("clip", "base_in_style", "all"): 0.10,
        }
    )


def test_what_a_prompt_and_its_noise_share_cancels():
    shared = 10 * noise(0)
    found = effects({"clip": {"base": shared, "adapter": shared + 0.02}}, others=("base",))["clip", "base", "all"]
    assert (found.low, found.mean, found.high) == pytest.approx((0.02, 0.02, 0.02), abs=1e-9)


def test_the_interval_is_over_prompts_with_their_seeds_by_the_plans_resampling():
    base, adapter = noise(1), noise(2) + 1
    found = effects({"clip": {"base": base, "adapter": adapter}}, others=("base",))["clip", "base", "all"]
    expected = mean_interval(adapter - base, confidence=0.9, resamples=1000, seed=5)
    assert (found.low, found.mean, found.high) == (expected.low, expected.mean, expected.high)
    assert (found.n, found.seeds, found.confidence, found.interval) == (PROMPTS, SEEDS, 0.9, "studentised")
    means = (adapter - base).mean(axis=1)
    assert found.error == pytest.approx(means.std(ddof=1) / np.sqrt(PROMPTS))
    assert found.detectable == pytest.approx(2.8 * found.error)
    assert found.stills_error is found.detectable_over_stills is None


def test_own_and_novel_prompts_are_told_apart():
    novel = [index >= 6 for index in range(PROMPTS)]
    adapter = np.where(novel, -1.0, 1.0)[:, None] + 0.01 * noise(3)
    grids = {"clip": {"base": np.zeros((PROMPTS, SEEDS)), "adapter": adapter}}
    found = effects(grids, novel=novel, others=("base",))
    parts = {part: (round(effect.mean, 1), effect.n) for (_, _, part), effect in found.items()}
    assert parts == {"all": (0.2, 10), "own": (1.0, 6), "novel": (-1.0, 4)}
    assert [part for _, _, part in effects(grids, others=("base",))] == ["all"], "no novel prompts, no parts"


def test_a_part_of_fewer_than_four_prompts_is_left_out():
    novel = [index >= 7 for index in range(PROMPTS)]
    found = effects({"clip": {"base": noise(4), "adapter": noise(5)}}, novel=novel, others=("base",))
    assert [part for _, _, part in found] == ["all", "own"]


def test_the_choice_of_held_out_stills_has_an_error_of_its_own():
    rng = np.random.default_rng(6)
    stills = rng.normal(size=(7, 12)).astype(np.float32)
    pictures = {arm: rng.normal(size=(PROMPTS * SEEDS, 12)).astype(np.float32) for arm in ("base", "adapter")}
    grids = {"clip": {arm: closeness(rows, stills).reshape(PROMPTS, SEEDS) for arm, rows in pictures.items()}}
    split = StillsSplit((by_still(pictures, stills),))
    found = effects(grids, splits={"clip": split}, others=("base",))["clip", "base", "all"]
    by_hand = [
        np.mean([a @ still for a in pictures["adapter"]]) - np.mean([b @ still for b in pictures["base"]])
        for still in stills
    ]
    assert found.mean == pytest.approx(np.mean(by_hand), abs=1e-5)
    assert found.stills_error == pytest.approx(np.std(by_hand, ddof=1) / np.sqrt(7), rel=1e-4)
    assert found.detectable_over_stills == pytest.approx(2.8 * np.hypot(found.error, found.stills_error))


def test_of_two_folds_the_error_is_that_of_their_mean():
    rng = np.random.default_rng(7)
    parts = [{arm: rng.normal(size=count) for arm in ("base", "adapter")} for count in (5, 9)]
    errors = [StillsSplit((part,)).error("base") for part in parts]
    assert StillsSplit(tuple(parts)).error("base") == pytest.approx(np.hypot(*errors) / 2)
