"""Material: what is judged, arranged, and what is lacking of it.

Belongs here: the samples and what they are judged beside, before anything looks at a picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.checks import NO_REGRESSION, VERDICT
from director_diffusion.evaluation.earlier import Before, Compared
from director_diffusion.evaluation.seen import Arm
from director_diffusion.sampling.prompts import arms_asked, noise_seed
from director_diffusion.sampling.rows import Sample
from director_diffusion.specs import Director, EvaluationPlan
from director_diffusion.stills.learned import Learned
from director_diffusion.stills.still_set import StillSet


@dataclass(frozen=True)
class Material:
    """What is judged, and what it is judged beside."""

    samples: tuple[Sample, ...]
    learned: Mapping[str, Learned]  # the stills that each adapter knows, by its arm
    drawing: str  # names all but adapter, prompts and noise that the samples' pixels depend on
    still_set: StillSet
    rivals: Mapping[str, NDArray[np.float64]]  # of other directors, the mean vector of held-out stills
    before: Before | None
    drift: str = ""  # what the canary says of pictures that come out otherwise than they did, or ""


def arms_of(
    samples: Sequence[Sample], plan: EvaluationPlan, seeds: Sequence[int], director: Director
) -> dict[str, Arm]:
    """Samples by arm, prompt and seed.  Raises EvaluationError unless they are exactly what the plan asks."""
    by_place = {(sample.arm, sample.prompt_index, sample.prompt, sample.seed): sample for sample in samples}
    asked = [
        [(index, prompt.text, noise_seed(prompt.text, seed)) for seed in seeds]
        for index, prompt in enumerate(plan.prompts)
    ]
    drawn = arms_asked(plan)
    wanted = {(arm, *place) for arm in drawn for row in asked for place in row}
    if wanted != by_place.keys() or len(samples) != len(wanted):
        raise EvaluationError(
            f"samples of {director.slug}", f"are not those of plan {plan.slug!r}", "Draw the plan's samples first."
        )
    return {arm: Arm(tuple(tuple(by_place[arm, *place] for place in row) for row in asked)) for arm in drawn}


def lacking_of(material: Material, both: Compared | None, *, drawn_in_full: bool) -> dict[str, str]:
    """What should be known for this verdict and is not, by the check that would have asked it."""
    found, before = {}, material.before
    if not drawn_in_full:
        found[VERDICT.name] = (
            "the draft had failed, so no further pictures were drawn for the release: "
            "where its verdict is another now, materialize release_samples again"
        )
    if before is not None and both is None:
        why = (
            "its evaluation is gone"
            if not before.samples
            else "its pictures were drawn otherwise, or too few of them from these prompts and this noise"
        )
        found[NO_REGRESSION.name] = (
            f"{before.words} cannot be compared with: {why}. Whoever publishes this adapter signs it off"
        )
    return found


def remarks_on(material: Material, looked_for: int) -> tuple[str, ...]:
    """What else is to be known: of stills and rivals that are gone; copies of `looked_for` stills were sought."""
    remarks = []
    gone = list(material.learned["adapter"].values()).count("train") - looked_for
    if gone:
        remarks.append(
            f"{gone} of the stills that the adapter was trained on are gone: of these no copies were sought."
        )
    if not material.rivals:
        remarks.append("No other director's held-out stills were there to tell this adapter's style from.")
    return tuple(remarks)
