"""Claims: what the verdict asks of an adapter, by the plan's margins.

Belongs here: which questions there are, their values and their bounds.  What the answers come to is `verdict`'s matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from director_diffusion.evaluation.effects import Grid, Grids, difference, tested
from director_diffusion.evaluation.metrics.diversity import distances_by_prompt
from director_diffusion.evaluation.metrics.similarity import Rows
from director_diffusion.evaluation.statistics.share import ShareTest
from director_diffusion.evaluation.types import Metric, OtherArm, style_metric
from director_diffusion.evaluation.verdict import Claim
from director_diffusion.specs import EvaluationPlan

REFERENCE_QUANTILE = 0.25
NAMES: Mapping[OtherArm, str] = {
    "base": "the base",
    "base_in_style": "the base asked for the style by name",
    "published": "the version published before",
}
BASES: tuple[OtherArm, ...] = ("base", "base_in_style")


@dataclass(frozen=True)
class Evidence:
    """What claims are made from, of all prompts unless said.

    `pictures` are vectors (prompts, seeds, d) by arm, of the encoder that calls itself style's; `nearest` the cosine of
    each of the adapter's pictures to its nearest training still.
    """

    grids: Grids
    pictures: Mapping[str, Rows]
    reference: float  # see `reference_closeness`
    nearest: Grid
    threshold: float
    rivals: Mapping[str, NDArray[np.float64]]  # of each other director, the mean of held-out stills' vectors (d,)
    own: NDArray[np.float64]  # the same of this director
    published: "Published | None"


@dataclass(frozen=True)
class Published:
    """The scores of the version published before, and of this one, for the prompts and noise that both drew."""

    grids: Grids  # arms adapter, published and base_in_style
    prompts: int


def reference_closeness(train: NDArray[np.float64]) -> float:
    """The closeness that a quarter of the director's own training stills stay below, to the held-out ones."""
    return float(np.quantile(train, REFERENCE_QUANTILE))


def claims(evidence: Evidence, plan: EvaluationPlan) -> tuple[Claim, ...]:
    """Every question of the verdict, in the order in which it is told."""
    found = [_superior(evidence, against, plan) for against in BASES]
    found += [_not_inferior(evidence.grids, "prompt", against, plan.margins.prompt, plan) for against in BASES]
    found += [_memorised(evidence, plan), _diverse(evidence, plan)]
    found += [_nearer(evidence, director, plan) for director in sorted(evidence.rivals)]
    if evidence.published is not None:
        found += _no_worse(evidence.published, plan)
    return tuple(found)


def _superior(evidence: Evidence, against: OtherArm, plan: EvaluationPlan) -> Claim:
    arms = evidence.grids[style_metric(plan)]
    way = max(evidence.reference - float(arms[against].mean()), 0.0)
    return Claim(
        name=f"style_{against}",
        words=f"style closeness against {NAMES[against]}",
        kind="superiority",
        test=tested(difference(arms, against), plan),
        bound=plan.margins.style * way,
    )


def _not_inferior(grids: Grids, metric: Metric, against: OtherArm, margin: float, plan: EvaluationPlan) -> Claim:
    what = "prompt fidelity" if metric == "prompt" else "style closeness"
    return Claim(
        name=f"{'prompt' if metric == 'prompt' else 'style'}_{against}",
        words=f"{what} against {NAMES[against]}",
        kind="non-inferiority",
        test=tested(difference(grids[metric], against), plan),
        bound=0.0 - margin,
    )


def _memorised(evidence: Evidence, plan: EvaluationPlan) -> Claim:
    """A prompt counts as soon as one of its pictures is too near: pictures of one prompt are no independent trials.

    The margin is of pictures: among s of a prompt, each beyond with that chance, one is with 1 − (1 − margin)^s.
    """
    seeds = evidence.nearest.shape[1]
    beyond = (evidence.nearest > evidence.threshold).any(axis=1)
    return Claim(
        name="memorised",
        words="the share of prompts with a picture nearer to a training still than 99 % of those are to each other",
        kind="limit",
        test=ShareTest(int(beyond.sum()), beyond.size),
        bound=1 - (1 - plan.margins.memorised) ** seeds,
        above=False,
    )


def _diverse(evidence: Evidence, plan: EvaluationPlan) -> Claim:
    limit = plan.margins.diversity
    ours, base = (distances_by_prompt(evidence.pictures[arm]) for arm in ("adapter", "base"))
    return Claim(
        name="diversity",
        words=f"distance between pictures less {limit:.0%} of the base's",
        kind="limit",
        test=tested((ours - limit * base)[:, None], plan),
        bound=0.0,
    )


def _nearer(evidence: Evidence, director: str, plan: EvaluationPlan) -> Claim:
    pictures = evidence.pictures["adapter"].astype(np.float64)
    return Claim(
        name=f"nearer_than_{director}",
        words=f"closeness to the director's held-out stills less that to {director}'s",
        kind="nearest",
        test=tested(pictures @ (evidence.own - evidence.rivals[director]), plan),
        bound=0.0,
        shown=False,
    )


def _no_worse(published: Published, plan: EvaluationPlan) -> list[Claim]:
    """Against the version published before: of its style effect a share may go, of prompt fidelity the margin."""
    style = style_metric(plan)
    arms = published.grids[style]
    had = max(float((arms["published"] - arms["base_in_style"]).mean()), 0.0)
    return [
        _not_inferior(published.grids, style, "published", plan.margins.regression * had, plan),
        _not_inferior(published.grids, "prompt", "published", plan.margins.prompt, plan),
    ]
