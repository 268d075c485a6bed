"""Claims: what the verdict asks of an adapter, by the plan's margins.

Belongs here: which questions there are, their values and their bounds.  What the answers come to is `verdict`'s matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from director_diffusion.evaluation.effects import Grid, Grids, difference, tested
from director_diffusion.evaluation.metrics.diversity import distances_by_prompt
from director_diffusion.evaluation.metrics.memorisation import QUANTILE
from director_diffusion.evaluation.metrics.similarity import Rows
from director_diffusion.evaluation.statistics.bootstrap import MeanTest
from director_diffusion.evaluation.statistics.share import ShareTest
from director_diffusion.evaluation.told import CLOSER, NEARER
from director_diffusion.evaluation.types import OtherArm, style_metric
from director_diffusion.evaluation.verdict import Claim
from director_diffusion.specs import EvaluationPlan, StepCount

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
    reference: float  # the closeness of the director's own stills
    released: Mapping[str, Grid]  # style by arm of the adapter itself, where others stand for it; else {}
    nearest: Grid
    threshold: float
    lead: Mapping[str, Grid]  # by other director: closeness to this one's held-out stills, less that to theirs
    published: "Published | None"


@dataclass(frozen=True)
class Published:
    """The scores of the version published before, and of this one, for the prompts and noise that both drew."""

    grids: Grids  # arms adapter, published and base_in_style; without closeness where that cannot be compared
    prompts: int


def claims(evidence: Evidence, plan: EvaluationPlan) -> tuple[Claim, ...]:
    """Every question of the verdict, in the order in which it is told."""
    found = [_superior(evidence, against, plan) for against in BASES]
    if evidence.released:
        found += [_released(evidence, against, plan) for against in BASES]
    found += [_follows(evidence.grids, against, plan) for against in BASES]
    found += [_memorised(evidence, plan), _diverse(evidence, plan)]
    found += [_nearer(evidence, director, plan) for director in sorted(evidence.lead)]
    if evidence.published is not None:
        found += _no_worse(evidence.published, plan)
    return tuple(found)


def few_steps_claims(evidence: Evidence, plan: EvaluationPlan, count: StepCount) -> tuple[Claim, ...]:
    """What is asked of a student of `count` steps; the adapter that taught it is in the place of the version before.

    `evidence.pictures` of the base are the adapter's: a student is to draw as unlike pictures as its teacher.
    """
    assert evidence.published is not None
    share = plan.margins.few_steps_of(count)
    found = _no_worse(evidence.published, plan, share=share, words="the adapter in all its steps")
    kept = (replace(claim, name=claim.name.replace("published", "kept")) for claim in found)
    return (*kept, _memorised(evidence, plan), _diverse(evidence, plan, words="the adapter's in all its steps"))


def _superior(evidence: Evidence, against: OtherArm, plan: EvaluationPlan) -> Claim:
    test, bound = _some_of_the_way(evidence.grids[style_metric(plan)], against, evidence.reference, plan)
    return Claim(f"style_{against}", f"style closeness against {NAMES[against]}", "superiority", test, bound)


def _released(evidence: Evidence, against: OtherArm, plan: EvaluationPlan) -> Claim:
    """Two adapters show that the recipe finds the style; the one that goes out must at least not have lost it."""
    test, bound = _some_of_the_way(evidence.released, against, evidence.reference, plan)
    words = f"the released adapter's own style closeness, to stills that it has learned, against {NAMES[against]}"
    return Claim(f"released_style_{against}", words, "superiority", test, bound)


def _some_of_the_way(
    arms: Mapping[str, Grid], against: OtherArm, reference: float, plan: EvaluationPlan
) -> tuple[MeanTest, float]:
    return _against_share(difference(arms, against), reference - arms[against], plan.margins.style, plan)


def _follows(grids: Grids, against: OtherArm, plan: EvaluationPlan, words: str = "") -> Claim:
    return Claim(
        name=f"prompt_{against}",
        words=f"prompt fidelity against {words or NAMES[against]}",
        kind="non-inferiority",
        test=tested(difference(grids["prompt"], against), plan),
        bound=0.0 - plan.margins.prompt,
    )


def _against_share(effect: Grid, of: Grid, share: float, plan: EvaluationPlan) -> tuple[MeanTest, float]:
    """The test of a mean effect (prompts, seeds) against a share of the mean of `of`, and that bound.

    The bound is estimated from the same prompts and as unsure as they leave it: what it scatters by is put into the
    effects, whose mean it does not move.  A mean below 0 leaves the bound at 0.
    """
    mean = float(of.mean())
    if mean <= 0:
        return tested(effect, plan), 0.0
    return tested(effect - share * (of - mean), plan), share * mean


def _memorised(evidence: Evidence, plan: EvaluationPlan) -> Claim:
    """A prompt counts as soon as one of its pictures is too near: pictures of one prompt are no independent trials.

    Their share is at least that of the pictures, however copies gather in prompts, so the margin bounds both.  Of an
    adapter that is no nearer to the training stills than those are to each other, 1 picture in 100 lies beyond the
    threshold by that one's very definition: the margin is for what is there beside.
    """
    beyond = (evidence.nearest > evidence.threshold).any(axis=1)
    return Claim(
        name="memorised",
        words="the share of prompts with a picture nearer to a training still than 99 % of those are to each other",
        kind="limit",
        test=ShareTest(int(beyond.sum()), beyond.size),
        bound=1 - (1 - plan.margins.memorised) * QUANTILE ** evidence.nearest.shape[1],
        above=False,
    )


def _diverse(evidence: Evidence, plan: EvaluationPlan, words: str = "the base's") -> Claim:
    limit = plan.margins.diversity
    ours, base = (distances_by_prompt(evidence.pictures[arm]) for arm in ("adapter", "base"))
    return Claim(
        name="diversity",
        words=f"distance between pictures less {limit:.0%} of {words}",
        kind="limit",
        test=tested((ours - limit * base)[:, None], plan),
        bound=0.0,
    )


def _nearer(evidence: Evidence, director: str, plan: EvaluationPlan) -> Claim:
    return Claim(
        name=f"{NEARER}{director}",
        words=f"{CLOSER} that to {director}'s",
        kind="nearest",
        test=tested(evidence.lead[director], plan),
        bound=0.0,
        shown=False,
    )


def _no_worse(
    published: Published, plan: EvaluationPlan, *, share: float | None = None, words: str = NAMES["published"]
) -> list[Claim]:
    """Against the version published before: of its style effect a `share` may go, of prompt fidelity the margin."""
    follows = _follows(published.grids, "published", plan, words)
    if (arms := published.grids.get(style_metric(plan))) is None:
        return [follows]
    had = arms["published"] - arms["base_in_style"]
    lost = plan.margins.regression if share is None else share
    test, bound = _against_share(difference(arms, "published"), had, -lost, plan)
    return [Claim("style_published", f"style closeness against {words}", "non-inferiority", test, bound), follows]
