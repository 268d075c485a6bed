"""Effects: what the adapter changes of each metric, paired by prompt and noise.

Belongs here: scores arranged by prompt and seed, and differences of arms with their intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from director_diffusion.evaluation.difference import Difference
from director_diffusion.evaluation.metrics.similarity import DECIMALS, Rows
from director_diffusion.evaluation.statistics.bootstrap import MIN_VALUES, MeanTest, mean_test
from director_diffusion.evaluation.types import Effect, Metric, OtherArm, Part
from director_diffusion.specs import EvaluationPlan

Grid = NDArray[np.float64]  # (prompts, seeds)
Grids = Mapping[Metric, Mapping[str, Grid]]  # by metric and arm
PARTS: tuple[Part, ...] = ("all", "own", "novel")


@dataclass(frozen=True)
class StillsSplit:
    """A closeness, taken apart by held-out still: of each fold (stills,) per arm, means over pictures."""

    folds: tuple[Mapping[str, NDArray[np.float64]], ...]

    def error(self, against: str) -> float:
        """Standard error of the effect, the mean over folds, over held-out stills as a sample of the director's."""
        differences = [by_arm["adapter"] - by_arm[against] for by_arm in self.folds]
        variances = [one.var(ddof=1) / one.size if one.size > 1 else 0.0 for one in differences]
        return float(np.sqrt(np.sum(variances)) / len(variances))


def by_still(pictures: Mapping[str, Rows], stills: Rows) -> dict[str, NDArray[np.float64]]:
    """Mean cosine of each arm's pictures (n, d) to each held-out still (m, d), (m,) per arm."""
    return {arm: stills.astype(np.float64) @ rows.astype(np.float64).mean(axis=0) for arm, rows in pictures.items()}


def paired_effects(
    grids: Grids,
    others: Sequence[OtherArm],
    novel: Sequence[bool],
    splits: Mapping[Metric, StillsSplit],
    plan: EvaluationPlan,
) -> tuple[Effect, ...]:
    """The adapter's effect on each metric against each other arm, over all prompts and over own and novel ones apart.

    Parts of fewer than four prompts are left out: they say too little of their own spread.
    """
    parts = {"all": np.ones(len(novel), bool), "own": ~np.array(novel, bool), "novel": np.array(novel, bool)}
    wanted = PARTS if any(novel) else PARTS[:1]
    return tuple(
        _effect(
            metric,
            against,
            part,
            difference(arms, against)[parts[part]],
            splits.get(metric) if part == "all" else None,  # taken apart over all prompts only
            plan,
        )
        for metric, arms in grids.items()
        for against in others
        for part in wanted
        if np.count_nonzero(parts[part]) >= MIN_VALUES
    )


def difference(arms: Mapping[str, Grid], against: str) -> Grid:
    """Adapter minus another arm, (prompts, seeds)."""
    return arms["adapter"] - arms[against]


def tested(values: Grid, plan: EvaluationPlan) -> MeanTest:
    """The mean of values (prompts, seeds), by the plan's resampling."""
    return mean_test(values, resamples=plan.resamples, seed=plan.bootstrap_seed)


def difference_of(metric: Metric, ours: Grid, theirs: Grid, plan: EvaluationPlan) -> Difference:
    """Scores of two adapters, both (prompts, seeds), from the same prompts and noise."""
    found = tested(ours - theirs, plan).interval(plan.confidence)
    return Difference(
        metric=metric,
        ours=round(float(ours.mean()), DECIMALS),
        theirs=round(float(theirs.mean()), DECIMALS),
        mean=found.mean,
        low=found.low,
        high=found.high,
        n=found.n,
        seeds=ours.shape[1],
        confidence=plan.confidence,
        interval=found.kind,
    )


def _effect(
    metric: Metric, against: OtherArm, part: Part, values: Grid, split: StillsSplit | None, plan: EvaluationPlan
) -> Effect:
    test = tested(values, plan)
    interval = test.interval(plan.confidence)
    return Effect(
        metric=metric,
        against=against,
        part=part,
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        n=interval.n,
        seeds=values.shape[1],
        confidence=plan.confidence,
        interval=interval.kind,
        error=test.error,
        stills_error=None if split is None else split.error(against),
    )
