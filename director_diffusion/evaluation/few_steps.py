"""Few steps: what students keep of the adapter that taught them.

Belongs here: each student's pictures set beside the full-step adapter's, from the same prompts and noise, and a verdict
for each.  Claims' arithmetic is `claims`', the rule that joins them `verdict`'s.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.claims import BASES, Evidence, Published, few_steps_claims
from director_diffusion.evaluation.effects import Grids, difference_of, paired_effects, tested
from director_diffusion.evaluation.encoders.opened import Encoders
from director_diffusion.evaluation.few_steps_types import BESIDE, FEW_STEPS_FILE, FewSteps
from director_diffusion.evaluation.folds import check_unseen, folds_of, learned_stills
from director_diffusion.evaluation.metrics.memorisation import memorisation_threshold, nearest
from director_diffusion.evaluation.metrics.similarity import DECIMALS
from director_diffusion.evaluation.seen import Arm, Seen, closeness_grids, picture_grids, see, stills_of
from director_diffusion.evaluation.types import Effect, Metric, style_metric
from director_diffusion.evaluation.verdict import decide, judge
from director_diffusion.progress import Progress
from director_diffusion.sampling.prompts import noise_seed
from director_diffusion.sampling.rows import FEW_STEP_ARMS, FILE, STOCK_ARMS, Sample
from director_diffusion.sampling.rows import Arm as ArmName
from director_diffusion.specs import Director, EvaluationPlan
from director_diffusion.stills.learned import Learned
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store
from director_diffusion.tables import write_table


def evaluate_few_steps(
    samples: Sequence[Sample],
    learned: Mapping[str, Learned],
    still_set: StillSet,
    plan: EvaluationPlan,
    seeds: Sequence[int],
    director: Director,
    encoders: Encoders,
    *,
    store: Store,
    out: Path,
    progress: Progress,
) -> tuple[FewSteps, ...]:
    """Judge students among the samples, and stock weights; writes `few_steps.json` and the samples' table to `out`.

    Style is closeness to the held-out stills; where a plan's folds leave none that the adapter has not learned, to all
    that judge: what both have learned tells neither from the other.

    Raises EvaluationError where the adapter knows stills that judge, or the samples are not the plan's.
    """
    folds = folds_of(still_set, plan, director)
    if len(folds) == 1:
        check_unseen(folds, learned, director)
    train = learned_stills(still_set, learned["adapter"], director)
    judging = list(dict.fromkeys(still for fold in folds for still in fold.held_out))
    names = [name for name in FEW_STEP_ARMS if any(one.arm == name for one in samples)]
    arms = _arms(samples, plan, seeds, [*BESIDE, *names], director)
    seen = see(list(samples), list(dict.fromkeys([*judging, *train])), still_set, encoders, store, progress)
    grids: Grids = {**picture_grids(arms, seen), **closeness_grids(arms, seen, judging)}
    likeness = getattr(seen, plan.memorised_by)
    threshold = memorisation_threshold(stills_of(likeness, train))

    def judged(name: ArmName) -> FewSteps:
        own = {
            metric: {"adapter": by_arm[name], "published": by_arm["adapter"], **{of: by_arm[of] for of in BESIDE[:2]}}
            for metric, by_arm in grids.items()
        }
        evidence = Evidence(
            grids=own,
            pictures=_pictures(arms, name, seen, plan),
            reference=0.0,
            released={},
            nearest=arms[name].grid(nearest(arms[name].rows(likeness), stills_of(likeness, train)).similarity),
            threshold=threshold,
            lead={},
            published=Published(own, len(plan.prompts)),
        )
        findings = judge(few_steps_claims(evidence, plan, FEW_STEP_ARMS[name]), plan.confidence)
        differences = tuple(
            difference_of(metric, by_arm["adapter"], by_arm["published"], plan) for metric, by_arm in own.items()
        )
        return FewSteps(
            FEW_STEP_ARMS[name],
            decide(findings),
            findings,
            _kept(own, plan),
            differences,
            _effects(own, plan),
            "stock" if name in STOCK_ARMS.values() else "student",
        )

    result = tuple(judged(name) for name in names)
    (out / FEW_STEPS_FILE).write_text(
        json.dumps([asdict(one) for one in result], indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        encoding="utf-8",
    )
    write_table(out / FILE, Sample, list(samples))
    return result


def _arms(
    samples: Sequence[Sample], plan: EvaluationPlan, seeds: Sequence[int], names: Sequence[ArmName], director: Director
) -> dict[str, Arm]:
    by_place = {(one.arm, one.prompt_index, one.seed): one for one in samples}
    wanted = [[(index, noise_seed(prompt.text, seed)) for seed in seeds] for index, prompt in enumerate(plan.prompts)]
    if {(name, *place) for name in names for row in wanted for place in row} - by_place.keys():
        raise EvaluationError(
            f"few-step samples of {director.slug}",
            f"are not those of plan {plan.slug!r}",
            "Materialize turbo_samples again.",
        )
    return {name: Arm(tuple(tuple(by_place[name, *place] for place in row) for row in wanted)) for name in names}


def _pictures(arms: Mapping[str, Arm], name: ArmName, seen: Seen, plan: EvaluationPlan) -> dict[str, Any]:
    """By arm as claims of diversity name them: the student's own, beside those of the adapter that it stands for."""
    by_style = getattr(seen, plan.style_by)
    return {"adapter": arms[name].cube(by_style), "base": arms["adapter"].cube(by_style)}


def _kept(grids: Grids, plan: EvaluationPlan) -> dict[str, float]:
    by_arm = grids[style_metric(plan)]
    shares: dict[str, float] = {}
    for against in BESIDE[:2]:
        had = by_arm["published"] - by_arm[against]
        if tested(had, plan).interval(plan.confidence).low > 0:
            shares[against] = round(float((by_arm["adapter"] - by_arm[against]).mean() / had.mean()), DECIMALS)
    return shares


def _effects(grids: Grids, plan: EvaluationPlan) -> tuple[Effect, ...]:
    told: tuple[Metric, ...] = (style_metric(plan), "prompt")
    return paired_effects({name: grids[name] for name in told}, BASES, [False] * len(plan.prompts), {}, plan)
