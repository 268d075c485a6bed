"""Evaluate: from samples to scores, effects, findings and a verdict.

Belongs here: the stage's function, which joins encoders, metrics, claims and verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.checks import NO_REGRESSION, VERDICT
from director_diffusion.evaluation.claims import BASES, Evidence, Published, claims
from director_diffusion.evaluation.earlier import Before, Compared, compared, published_of
from director_diffusion.evaluation.effects import Grids, paired_effects
from director_diffusion.evaluation.encoders.opened import Encoders
from director_diffusion.evaluation.folds import (
    Fold,
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
from director_diffusion.evaluation.metrics.diversity import distances_by_prompt, vendi_score
from director_diffusion.evaluation.metrics.memorisation import Neighbours, memorisation_threshold, nearest
from director_diffusion.evaluation.metrics.similarity import DECIMALS
from director_diffusion.evaluation.seen import Arm, Seen, Vectors, see, stills_of
from director_diffusion.evaluation.types import (
    ArmSet,
    Effect,
    Evaluation,
    Memorisation,
    OtherArm,
    Pair,
    Score,
    style_metric,
)
from director_diffusion.evaluation.verdict import decide, judge
from director_diffusion.progress import Progress
from director_diffusion.sampling.prompts import arms_asked, noise_seed, seeds_drawn
from director_diffusion.sampling.rows import ARMS, FILE, Sample
from director_diffusion.specs import Director, EvaluationPlan, Tier
from director_diffusion.stills.learned import Learned, write_learned
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store
from director_diffusion.tables import write_table


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
    still_set, style = material.still_set, style_metric(plan)
    folds = folds_of(still_set, plan, director)
    check_unseen(folds, material.learned, director)
    train = learned_stills(still_set, material.learned["adapter"], director)
    seeds = seeds_drawn(material.samples, plan, tier)
    arms = arms_of(material.samples, plan, seeds, director)
    both = None if material.drift else compared(material.before, material.drawing, arms, len(plan.prompts))
    lacking = _lacking(material, both, drawn_in_full=seeds == plan.seeds_of(tier))
    shown = [*material.samples, *(both.pictures if both is not None else ())]
    judging = dict.fromkeys(still for fold in folds for still in (*fold.held_out, *fold.train))
    seen = see(shown, list(judging | dict.fromkeys(train)), still_set, encoders, store, progress)
    grids, own_grids = scored(arms, folds, seen)
    by_style, by_likeness = _vectors(seen, plan.style_by), _vectors(seen, plan.memorised_by)
    nearby = {of: nearness(of, arms, folds, by_style, director.slug, material.rivals) for of in ARMS}
    near = nearby["adapter"]
    neighbours = nearest(arms["adapter"].rows(by_likeness), stills_of(by_likeness, train))
    threshold = memorisation_threshold(stills_of(by_likeness, train))
    published, remarks = _published(both, material.before, folds, seen)
    evidence = Evidence(
        grids=grids,
        pictures={of: arms[of].cube(by_style) for of in ARMS},
        reference=reference_closeness(folds, by_style),
        released=released_style(arms, folds, style, seen),
        nearest=arms["adapter"].grid(neighbours.similarity),
        threshold=threshold,
        lead={slug: near[director.slug] - near[slug] for slug in material.rivals},
        published=published,
    )
    findings = judge(claims(evidence, plan), plan.confidence)
    evaluation = Evaluation(
        tier=tier,
        drawing=material.drawing,
        scores=_scores(arms, own_grids),
        effects=_effects(arms, seen, grids, folds, published, plan),
        findings=findings,
        verdict=decide(findings, list(lacking.values())),
        style=style,
        margins=plan.margins,
        prompts=len(plan.prompts),
        seeds=seeds,
        folds=len(folds),
        held_out=sum(len(fold.held_out) for fold in folds),
        reference=round(evidence.reference, DECIMALS),
        arms={of: _set(of, arms, folds, by_style, seen) for of in ARMS},
        memorisation=Memorisation(
            threshold=threshold,
            share=neighbours.beyond(threshold),
            chance=_chance(folds, by_likeness),
            nearest=float(neighbours.similarity.max()),
        ),
        confusion={
            of: {slug: round(float(grid.mean()), DECIMALS) for slug, grid in sorted(grids.items())}
            for of, grids in nearby.items()
        },
        published=material.before.version if material.before is not None and both is not None else "",
        lacking=lacking,
        notes=(*((material.drift,) if material.drift else ()), *_remarks(material, len(train)), *remarks),
        pairs=_pairs(arms["adapter"], neighbours, threshold, train),
    )
    evaluation.write(out)
    write_table(out / FILE, Sample, material.samples)
    write_learned(out, material.learned)
    return evaluation


def _vectors(seen: Seen, name: str) -> Vectors:
    found: Vectors = getattr(seen, name)
    return found


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


def _chance(folds: Sequence[Fold], vectors: Vectors) -> float:
    """The share of held-out stills that are nearer to a training still than those are to each other."""
    beyond = 0.0
    for fold in folds:
        train = stills_of(vectors, fold.train)
        found = nearest(stills_of(vectors, fold.held_out), train)
        beyond += found.beyond(memorisation_threshold(train)) * len(fold.held_out)
    return beyond / sum(len(fold.held_out) for fold in folds)


def _lacking(material: Material, both: Compared | None, *, drawn_in_full: bool) -> dict[str, str]:
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


def _remarks(material: Material, looked_for: int) -> tuple[str, ...]:
    remarks = []
    gone = list(material.learned["adapter"].values()).count("train") - looked_for
    if gone:
        remarks.append(
            f"{gone} of the stills that the adapter was trained on are gone: of these no copies were sought."
        )
    if not material.rivals:
        remarks.append("No other director's held-out stills were there to tell this adapter's style from.")
    return tuple(remarks)


def _pairs(adapter: Arm, neighbours: Neighbours, threshold: float, train: Sequence[Still]) -> tuple[Pair, ...]:
    samples = adapter.flat
    return tuple(
        Pair(
            reference=samples[place].reference,
            prompt=samples[place].prompt,
            seed=samples[place].seed,
            still=(still := train[neighbours.index[place]]).still,
            film=still.film,
            name=still.name,
            similarity=float(neighbours.similarity[place]),
            beyond=bool(neighbours.similarity[place] > threshold),
        )
        for place in neighbours.nearest_first().tolist()
    )
