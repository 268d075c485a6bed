"""Resampling: what chance alone does to the verdict's statistics.

Belongs here: comparisons of an adapter with itself, simulations of intervals, and how many prompts detect what effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.truth.defects import sound
from benchmarks.truth.setting import SEEDS, Setting
from benchmarks.truth.trials import drawn
from director_diffusion.evaluation.encoders.opened import Encoders
from director_diffusion.evaluation.folds import folds_of, scored, stills_splits
from director_diffusion.evaluation.material import arms_of
from director_diffusion.evaluation.seen import see
from director_diffusion.evaluation.statistics.bootstrap import MeanTest, mean_test
from director_diffusion.evaluation.types import POWERED, Finding, style_metric
from director_diffusion.evaluation.verdict import Claim, judge
from director_diffusion.progress import Silent

Grid = NDArray[np.float64]  # (prompts, seeds of the pool)
RESAMPLES, CONFIDENCE = 1000, 0.95


@dataclass(frozen=True)
class Pool:
    """One director's sound adapter over the whole pool of noise."""

    style: Mapping[str, Grid]  # by arm
    prompt: Mapping[str, Grid]
    stills_variance: float  # of the style effect between held-out stills


@dataclass(frozen=True)
class Components:
    """Variance of the paired effect against the base asked by name: between prompts, and between noises of one."""

    prompt: float
    seed: float


def pool_of(setting: Setting, encoders: Encoders, director: str) -> Pool:
    plan = setting.plan(0).model_copy(update={"seeds": setting.pool, "release_seeds": ()})
    adapter = sound(setting, director, 0)
    assert adapter is not None, "a sound training was refused"
    arms = arms_of(drawn(setting, director, adapter, 0, setting.pool), plan, setting.pool, setting.directors[director])
    still_set = setting.still_set(director)
    samples = [sample for arm in arms.values() for sample in arm.flat]
    folds = folds_of(still_set, plan, setting.directors[director])
    seen = see(samples, still_set.held_out, still_set, encoders, setting.store, Silent())
    grids, style = scored(arms, folds, seen)[0], style_metric(plan)
    (split,) = stills_splits(arms, folds, seen)[style].folds
    return Pool(grids[style], grids["prompt"], float((split["adapter"] - split["base_in_style"]).var(ddof=1)))


def components(arms: Mapping[str, Grid]) -> Components:
    """By the method of moments, from differences (prompts, seeds)."""
    differences = arms["adapter"] - arms["base_in_style"]
    within = float(differences.var(axis=1, ddof=1).mean())
    between = float(differences.mean(axis=1).var(ddof=1)) - within / differences.shape[1]
    return Components(max(between, 0.0), within)


def same_against_same(pool: Pool, simulation: int) -> tuple[bool, bool]:
    """An adapter against itself from other noise: whether the verdict calls a metric different, each alone and both."""
    rng = np.random.default_rng([simulation, 1])
    prompts, seeds = pool.style["adapter"].shape
    order = np.argsort(rng.random((prompts, seeds)), axis=1)[:, : 2 * SEEDS]
    claims = []
    for name, arms in (("style", pool.style), ("prompt", pool.prompt)):
        picked = np.take_along_axis(arms["adapter"], order, axis=1)
        test = _test(picked[:, :SEEDS] - picked[:, SEEDS:], simulation)
        claims.append(Claim(name, name, "superiority", test, bound=0.0))
    alone = [finding for claim in claims for finding in judge([claim], CONFIDENCE)]
    return _is_any_decided(alone), _is_any_decided(judge(claims, CONFIDENCE))


def _is_any_decided(findings: Sequence[Finding]) -> bool:
    return any(finding.outcome != "undecided" for finding in findings)


def covered(found: Components, shape: Grid, simulation: int, *, prompts: int, seeds: int, normal: bool) -> bool:
    """Whether the 95 % interval of simulated effects holds their true mean, 0.

    Normal draws, or draws from the measured differences `shape` themselves, centred, with each prompt's noise about its
    own mean.
    """
    rng = np.random.default_rng([simulation, prompts, seeds])
    if normal:
        values = rng.normal(0, found.prompt**0.5, (prompts, 1)) + rng.normal(0, found.seed**0.5, (prompts, seeds))
    else:
        rows = rng.integers(0, shape.shape[0], prompts)
        values = shape[rows[:, None], rng.integers(0, shape.shape[1], (prompts, seeds))] - shape.mean()
    interval = _test(values, simulation).interval(CONFIDENCE)
    return interval.low <= 0 <= interval.high


def detectable(found: Components, *, prompts: int, seeds: int, stills_variance: float = 0.0, stills: int = 1) -> float:
    """The effect that is found at 5 %, two-sided, in four of five trials."""
    return POWERED * float(((found.prompt + found.seed / seeds) / prompts + stills_variance / stills) ** 0.5)


def _test(values: Grid, seed: int) -> MeanTest:
    return mean_test(values, resamples=RESAMPLES, seed=seed)
