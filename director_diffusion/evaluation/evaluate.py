"""Evaluate: from samples to scores, effects, findings and a verdict.

Belongs here: the stage's function, which joins encoders, metrics, claims and verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from director_diffusion.evaluation.claims import BASES, Evidence, Published, claims
from director_diffusion.evaluation.earlier import Before, Compared, compared, published_of
from director_diffusion.evaluation.effects import Grids, paired_effects
from director_diffusion.evaluation.encoders.opened import Encoders
from director_diffusion.evaluation.folds import (
    Fold,
    chance_of,
    check_unseen,
    cmmd_of,
    folds_of,
    learned_stills,
    nearness,
    reference_closeness,
    released_style,
    scored,
    stills_splits,
)
from director_diffusion.evaluation.material import Material, arms_of, lacking_of, remarks_on
from director_diffusion.evaluation.metrics.diversity import distances_by_prompt, vendi_score
from director_diffusion.evaluation.metrics.memorisation import Neighbours, memorisation_threshold, nearest
from director_diffusion.evaluation.metrics.similarity import DECIMALS
from director_diffusion.evaluation.pairs import pairs_of
from director_diffusion.evaluation.seen import Arm, Seen, Vectors, see, stills_of
from director_diffusion.evaluation.types import (
    ArmSet,
    Effect,
    Evaluation,
    Memorisation,
    OtherArm,
    Score,
    style_metric,
)
from director_diffusion.evaluation.verdict import decide, judge
from director_diffusion.progress import Progress
from director_diffusion.sampling.prompts import seeds_drawn
from director_diffusion.sampling.rows import ARMS, FILE, Sample
from director_diffusion.specs import Director, EvaluationPlan, Tier
from director_diffusion.stills.learned import write_learned
from director_diffusion.stills.rows import Still
from director_diffusion.storage import Store
from director_diffusion.tables import write_table


def evaluate(
    material: Material,
    plan: EvaluationPlan,
    tier: Tier,
    director: Director,
    encoders: Encoders,
    *,
    store: Store,
    out: Path,
    progress: Progress,
) -> Evaluation:
    """Score the samples of a tier against their prompts and the held-out stills; write the evaluation's files to `out`.

    Raises EvaluationError where the director has no held-out stills, an adapter knows some of them, or the
    samples are not the tier's.
    """
    looked = _look(material, plan, tier, director, encoders, store=store, progress=progress)
    measured = _measure(looked, material, plan, director)
    evidence = _evidence(looked, measured, material, plan, director)
    evaluation = _told(looked, measured, evidence, material, plan, tier)
    evaluation.write(out)
    write_table(out / FILE, Sample, material.samples)
    write_learned(out, material.learned)
    return evaluation


@dataclass(frozen=True)
class _Looked:
    """The samples arranged, and what the encoders saw of them and of stills."""

    folds: tuple[Fold, ...]
    train: tuple[Still, ...]  # that the adapter has learned
    seeds: tuple[int, ...]
    arms: Mapping[str, Arm]
    both: Compared | None  # with the version before
    seen: Seen


def _look(
    material: Material,
    plan: EvaluationPlan,
    tier: Tier,
    director: Director,
    encoders: Encoders,
    *,
    store: Store,
    progress: Progress,
) -> _Looked:
    still_set = material.still_set
    folds = folds_of(still_set, plan, director)
    check_unseen(folds, material.learned, director)
    train = learned_stills(still_set, material.learned["adapter"], director)
    seeds = seeds_drawn(material.samples, plan, tier)
    arms = arms_of(material.samples, plan, seeds, director)
    both = None if material.drift else compared(material.before, material.drawing, arms, len(plan.prompts))
    shown = [*material.samples, *(both.pictures if both is not None else ())]
    judging = dict.fromkeys(still for fold in folds for still in (*fold.held_out, *fold.train))
    seen = see(shown, list(judging | dict.fromkeys(train)), still_set, encoders, store, progress)
    return _Looked(folds, train, seeds, arms, both, seen)


@dataclass(frozen=True)
class _Measured:
    """What the metrics make of that."""

    grids: Grids  # that claims are made of
    own_grids: Grids  # of every arm by itself
    nearby: Mapping[str, Mapping[str, NDArray[np.float64]]]  # of each arm to each director's held-out stills
    neighbours: Neighbours  # the learned stills that the adapter's pictures are nearest to
    threshold: float  # beyond which they are too near
    published: Published | None
    remarks: tuple[str, ...]


def _measure(looked: _Looked, material: Material, plan: EvaluationPlan, director: Director) -> _Measured:
    folds, arms, seen = looked.folds, looked.arms, looked.seen
    grids, own_grids = scored(arms, folds, seen)
    by_style, by_likeness = _vectors(seen, plan.style_by), _vectors(seen, plan.memorised_by)
    learned = stills_of(by_likeness, looked.train)
    published, remarks = _published(looked.both, material.before, folds, seen)
    return _Measured(
        grids=grids,
        own_grids=own_grids,
        nearby={of: nearness(of, arms, folds, by_style, director.slug, material.rivals) for of in ARMS},
        neighbours=nearest(arms["adapter"].rows(by_likeness), learned),
        threshold=memorisation_threshold(learned),
        published=published,
        remarks=remarks,
    )


def _evidence(
    looked: _Looked, measured: _Measured, material: Material, plan: EvaluationPlan, director: Director
) -> Evidence:
    by_style, near = _vectors(looked.seen, plan.style_by), measured.nearby["adapter"]
    return Evidence(
        grids=measured.grids,
        pictures={of: looked.arms[of].cube(by_style) for of in ARMS},
        reference=reference_closeness(looked.folds, by_style),
        released=released_style(looked.arms, looked.folds, style_metric(plan), looked.seen),
        nearest=looked.arms["adapter"].grid(measured.neighbours.similarity),
        threshold=measured.threshold,
        lead={slug: near[director.slug] - near[slug] for slug in material.rivals},
        published=measured.published,
    )


def _told(
    looked: _Looked,
    measured: _Measured,
    evidence: Evidence,
    material: Material,
    plan: EvaluationPlan,
    tier: Tier,
) -> Evaluation:
    """The verdict, and all that is said beside it."""
    folds, arms, seen, neighbours = looked.folds, looked.arms, looked.seen, measured.neighbours
    findings = judge(claims(evidence, plan), plan.confidence)
    lacking = lacking_of(material, looked.both, drawn_in_full=looked.seeds == plan.seeds_of(tier))
    return Evaluation(
        tier=tier,
        drawing=material.drawing,
        scores=_scores(arms, measured.own_grids),
        effects=_effects(arms, seen, measured.grids, folds, measured.published, plan),
        findings=findings,
        verdict=decide(findings, list(lacking.values())),
        style=style_metric(plan),
        margins=plan.margins,
        prompts=len(plan.prompts),
        seeds=looked.seeds,
        folds=len(folds),
        held_out=sum(len(fold.held_out) for fold in folds),
        reference=round(evidence.reference, DECIMALS),
        arms={of: _set(of, arms, folds, _vectors(seen, plan.style_by), seen) for of in ARMS},
        memorisation=Memorisation(
            threshold=measured.threshold,
            share=neighbours.beyond(measured.threshold),
            chance=chance_of(folds, _vectors(seen, plan.memorised_by)),
            nearest=float(neighbours.similarity.max()),
        ),
        confusion={
            of: {slug: round(float(grid.mean()), DECIMALS) for slug, grid in sorted(grids.items())}
            for of, grids in measured.nearby.items()
        },
        published=material.before.version if material.before is not None and looked.both is not None else "",
        lacking=lacking,
        notes=(
            *((material.drift,) if material.drift else ()),
            *remarks_on(material, len(looked.train)),
            *measured.remarks,
        ),
        pairs=pairs_of(arms["adapter"], neighbours, measured.threshold, looked.train),
    )


def _vectors(seen: Seen, name: str) -> Vectors:
    found: Vectors = getattr(seen, name)
    return found


def _published(
    both: Compared | None, before: Before | None, folds: Sequence[Fold], seen: Seen
) -> tuple[Published | None, tuple[str, ...]]:
    return (None, ()) if both is None or before is None else published_of(both, before, folds, seen)


def _effects(
    arms: Mapping[str, Arm],
    seen: Seen,
    grids: Grids,
    folds: Sequence[Fold],
    published: Published | None,
    plan: EvaluationPlan,
) -> tuple[Effect, ...]:
    novel = [row[0].novel for row in arms["adapter"].samples]
    effects = paired_effects(grids, BASES, novel, stills_splits(arms, folds, seen), plan)
    if published is None:
        return effects
    against: tuple[OtherArm, ...] = ("published",)
    return effects + paired_effects(published.grids, against, [False] * published.prompts, {}, plan)


def _scores(arms: Mapping[str, Arm], grids: Grids) -> tuple[Score, ...]:
    return tuple(
        Score(sample.arm, sample.prompt_index, sample.seed, metric, round(float(value), DECIMALS), sample.item)
        for metric, by_arm in grids.items()
        for of, values in by_arm.items()
        for sample, value in zip(arms[of].flat, values.ravel(), strict=True)
    )


def _set(of: str, arms: Mapping[str, Arm], folds: Sequence[Fold], by_style: Vectors, seen: Seen) -> ArmSet:
    return ArmSet(
        cmmd=round(cmmd_of(of, arms, folds, seen.embedder), DECIMALS),
        vendi=round(vendi_score(arms[of].rows(by_style)), DECIMALS),
        distance=round(float(distances_by_prompt(arms[of].cube(by_style)).mean()), DECIMALS),
    )
