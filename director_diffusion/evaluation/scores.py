"""Scores: what is measured of each sample, and what the adapter changes.

Belongs here: metrics as a few lines over embeddings, and paired effects.  Embeddings come from `embedder`, intervals
from `bootstrap`.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.bootstrap import mean_interval
from director_diffusion.evaluation.types import METRICS, OTHER_ARMS, Effect, Metric, OtherArm, Score
from director_diffusion.specs import EvaluationPlan

DECIMALS = 6
"""float32 cosines carry no more; rounding here keeps the last bits, which depend on batch sizes, out of the results."""

Matrix = NDArray[np.float32]


def prompt_fidelity(images: Matrix, prompts: Matrix) -> NDArray[np.float64]:
    """CLIP-T: cosine of each image (n, d) and the words it was drawn for (n, d), trigger and style phrase left out.

    All rows have length 1.  Returns (n,), in [-1, 1].
    """
    cosines: NDArray[np.float64] = np.einsum("nd,nd->n", images, prompts, dtype=np.float64)
    return cosines.round(DECIMALS)


def style_closeness(images: Matrix, held_out: Matrix) -> NDArray[np.float64]:
    """CLIP-I (Ruiz et al. 2023): mean cosine of each image (n, d) to every held-out still (m, d).

    The cosine to the stills' mean direction would be this value divided by one constant per set of stills (the mean's
    length), so it orders images and arms alike; the mean of cosines is the figure that the literature prints.
    It measures content and framing along with style, which is why only differences between arms that were drawn for
    the same prompts are judged.  All rows have length 1.  Returns (n,), in [-1, 1].
    """
    cosines: NDArray[np.float64] = images.astype(np.float64) @ held_out.astype(np.float64).mean(axis=0)
    return cosines.round(DECIMALS)


def paired_effects(scores: Sequence[Score], plan: EvaluationPlan) -> tuple[Effect, ...]:
    """The adapter's effect on each metric against each other arm.

    Differences are paired by prompt and seed, averaged over the seeds of a prompt, and resampled over prompts: prompts
    are what a new evaluation would draw anew, while seeds of one prompt are not independent of each other.  Raises
    EvaluationError where the arms were not drawn for the same prompts and seeds.
    """
    return tuple(_effect(scores, metric, against, plan) for metric in METRICS for against in OTHER_ARMS)


def _effect(scores: Sequence[Score], metric: Metric, against: OtherArm, plan: EvaluationPlan) -> Effect:
    interval = mean_interval(
        prompt_differences(scores, metric, against),
        confidence=plan.confidence,
        resamples=plan.resamples,
        seed=plan.bootstrap_seed,
    )
    return Effect(
        metric=metric,
        against=against,
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        n=interval.n,
        confidence=plan.confidence,
        interval=interval.kind,
    )


def prompt_differences(scores: Sequence[Score], metric: Metric, against: OtherArm) -> NDArray[np.float64]:
    """Adapter minus another arm, one value per prompt (the mean over its seeds), in the order of prompts."""
    adapter, other = _values(scores, metric, "adapter"), _values(scores, metric, against)
    if adapter.keys() != other.keys():
        raise EvaluationError(
            "samples",
            f"the adapter and {against} were not drawn for the same prompts and seeds",
            "Draw all arms of one plan.",
        )
    by_prompt: dict[int, list[float]] = defaultdict(list)
    for (prompt, seed), value in sorted(adapter.items()):
        by_prompt[prompt].append(value - other[prompt, seed])
    return np.array([np.mean(differences) for differences in by_prompt.values()])


def _values(scores: Sequence[Score], metric: Metric, arm: str) -> dict[tuple[int, int], float]:
    return {
        (score.prompt_index, score.seed): score.style_closeness if metric == "style" else score.prompt_fidelity
        for score in scores
        if score.arm == arm
    }
