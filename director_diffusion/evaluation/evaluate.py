"""Evaluate: from samples to scores, effects, findings and a verdict.

Belongs here: the stage's function, which joins encoders, metrics, claims and verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.claims import BASES, Evidence, Published, claims, reference_closeness
from director_diffusion.evaluation.effects import Grids, StillsSplit, by_still, paired_effects
from director_diffusion.evaluation.encoders.opened import Encoders
from director_diffusion.evaluation.metrics.distribution import cmmd
from director_diffusion.evaluation.metrics.diversity import distances_by_prompt, vendi_score
from director_diffusion.evaluation.metrics.memorisation import Neighbours, memorisation_threshold, nearest
from director_diffusion.evaluation.metrics.similarity import DECIMALS, closeness
from director_diffusion.evaluation.seen import Arm, Seen, grids_of, see, stills_of
from director_diffusion.evaluation.types import (
    ArmSet,
    Effect,
    Evaluation,
    Memorisation,
    Metric,
    OtherArm,
    Pair,
    Score,
    style_metric,
)
from director_diffusion.evaluation.verdict import decide, judge
from director_diffusion.progress import Progress
from director_diffusion.sampling.prompts import noise_seed, seeds_drawn
from director_diffusion.sampling.rows import ARMS, FILE, Sample
from director_diffusion.specs import Director, EvaluationPlan, Tier
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store
from director_diffusion.tables import write_table

LEAST_COMMON = 8  # prompts that a comparison with an earlier version needs to be worth a claim


@dataclass(frozen=True)
class Before:
    """The version that was published before: its name, how it was drawn, and its adapter's pictures."""

    version: str
    drawing: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Material:
    """What is judged, and what it is judged beside."""

    samples: tuple[Sample, ...]
    drawing: str  # names all but adapter, prompts and noise that pixels depend on
    still_set: StillSet
    rivals: Mapping[str, NDArray[np.float64]]  # of other directors, the mean vector of held-out stills
    before: Before | None
    notes: tuple[str, ...] = ()  # to be told with the verdict


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

    Raises EvaluationError where the director has no held-out stills or the samples are not the tier's.
    """
    still_set, style = material.still_set, style_metric(plan)
    held_out, train = still_set.held_out, still_set.train
    _check_stills(still_set, director)
    seeds = seeds_drawn(material.samples, plan, tier)
    arms = arms_of(material.samples, plan, seeds, director)
    earlier = _common(material.before, material.drawing, arms["adapter"], plan)
    shown = [*material.samples, *(earlier.flat if earlier is not None else ())]
    seen = see(shown, [*held_out, *train], still_set, encoders, store, progress)
    grids = grids_of(arms, seen, held_out)

    by_style, by_likeness = _vectors(seen, plan.style_by), _vectors(seen, plan.memorised_by)
    pictures = {of: arm.cube(by_style) for of, arm in arms.items()}
    own = stills_of(by_style, held_out)
    neighbours = nearest(arms["adapter"].rows(by_likeness), stills_of(by_likeness, train))
    threshold = memorisation_threshold(stills_of(by_likeness, train))
    evidence = Evidence(
        grids=grids,
        pictures=pictures,
        reference=reference_closeness(closeness(stills_of(by_style, train), own)),
        nearest=arms["adapter"].grid(neighbours.similarity),
        threshold=threshold,
        rivals=material.rivals,
        own=own.astype(np.float64).mean(axis=0),
        published=_published(earlier, arms, seen, held_out),
    )
    findings = judge(claims(evidence, plan), plan.confidence)
    rows = {of: arm.rows(by_style) for of, arm in arms.items()}
    evaluation = Evaluation(
        tier=tier,
        drawing=material.drawing,
        scores=_scores(arms, grids),
        effects=_effects(arms, seen, grids, held_out, evidence.published, plan),
        findings=findings,
        verdict=decide(findings),
        style=style,
        margins=plan.margins,
        prompts=len(plan.prompts),
        seeds=seeds,
        held_out=len(held_out),
        reference=round(evidence.reference, DECIMALS),
        arms={of: _set(arm, pictures[of], seen, held_out) for of, arm in arms.items()},
        memorisation=Memorisation(
            threshold=threshold,
            share=neighbours.beyond(threshold),
            chance=nearest(stills_of(by_likeness, held_out), stills_of(by_likeness, train)).beyond(threshold),
            nearest=float(neighbours.similarity.max()),
        ),
        confusion=_confusion(rows["adapter"], director.slug, evidence),
        published=material.before.version if material.before is not None and earlier is not None else "",
        notes=(*material.notes, *_remarks(material, earlier, drawn_in_full=seeds == plan.seeds_of(tier))),
        pairs=_pairs(arms["adapter"], neighbours, threshold, train),
    )
    evaluation.write(out)
    write_table(out / FILE, Sample, material.samples)
    return evaluation


def _check_stills(still_set: StillSet, director: Director) -> None:
    if len(still_set.held_out) < 2 or len(still_set.train) < 2:
        raise EvaluationError(
            f"evaluation of {director.slug}",
            f"there are {len(still_set.held_out)} held-out and {len(still_set.train)} training stills, where 2 of each "
            "are needed to measure style by",
            "Raise stills.held_out_share in the director's file, or add stills of another film.",
        )


def _vectors(seen: Seen, name: str) -> Mapping[str, NDArray[np.float32]]:
    found: Mapping[str, NDArray[np.float32]] = getattr(seen, name)
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
    wanted = {(arm, *place) for arm in ARMS for row in asked for place in row}
    if wanted != by_place.keys() or len(samples) != len(wanted):
        raise EvaluationError(
            f"samples of {director.slug}", f"are not those of plan {plan.slug!r}", "Draw the plan's samples first."
        )
    return {arm: Arm(tuple(tuple(by_place[arm, *place] for place in row) for row in asked)) for arm in ARMS}


def _common(before: Before | None, drawing: str, adapter: Arm, plan: EvaluationPlan) -> Arm | None:
    """The earlier version's pictures for this adapter's prompts and noise; None where too few prompts have them, or
    they were drawn otherwise: the sampler's effect must not be taken for the adapter's.
    """
    if before is None or before.drawing != drawing:
        return None
    by_place = {(sample.prompt, sample.seed): sample for sample in before.samples}
    rows = [
        tuple(by_place[sample.prompt, sample.seed] for sample in row)
        for row in adapter.samples
        if all((sample.prompt, sample.seed) in by_place for sample in row)
    ]
    return Arm(tuple(rows)) if len(rows) >= min(LEAST_COMMON, len(plan.prompts)) else None


def _published(earlier: Arm | None, arms: Mapping[str, Arm], seen: Seen, held_out: Sequence[Still]) -> Published | None:
    if earlier is None:
        return None
    prompts = {row[0].prompt for row in earlier.samples}

    def same(arm: Arm) -> Arm:
        return Arm(tuple(row for row in arm.samples if row[0].prompt in prompts))

    compared = {"adapter": same(arms["adapter"]), "base_in_style": same(arms["base_in_style"]), "published": earlier}
    return Published(grids_of(compared, seen, held_out), len(prompts))


def _effects(
    arms: Mapping[str, Arm],
    seen: Seen,
    grids: Grids,
    held_out: Sequence[Still],
    published: Published | None,
    plan: EvaluationPlan,
) -> tuple[Effect, ...]:
    novel = [row[0].novel for row in arms["adapter"].samples]
    vectors: dict[Metric, Mapping[str, NDArray[np.float32]] | None] = {
        "clip": seen.embedder,
        "encoder": seen.encoder,
        "projection": seen.style_projection,
    }
    splits: dict[Metric, StillsSplit] = {
        metric: by_still({of: arm.rows(found) for of, arm in arms.items()}, stills_of(found, held_out))
        for metric, found in vectors.items()
        if found is not None
    }
    effects = paired_effects(grids, BASES, novel, splits, plan)
    if published is None:
        return effects
    against: tuple[OtherArm, ...] = ("published",)
    return effects + paired_effects(published.grids, against, [False] * published.prompts, {}, plan)


def _scores(arms: Mapping[str, Arm], grids: Grids) -> tuple[Score, ...]:
    return tuple(
        Score(sample.arm, sample.prompt_index, sample.seed, metric, round(float(value), DECIMALS), sample.item)
        for metric, by_arm in grids.items()
        for of, arm in arms.items()
        for sample, value in zip(arm.flat, by_arm[of].ravel(), strict=True)
    )


def _set(arm: Arm, pictures: NDArray[np.float32], seen: Seen, held_out: Sequence[Still]) -> ArmSet:
    rows = arm.rows(seen.embedder)
    return ArmSet(
        cmmd=round(cmmd(rows, stills_of(seen.embedder, held_out)), DECIMALS),
        vendi=round(vendi_score(pictures.reshape(-1, pictures.shape[-1])), DECIMALS),
        distance=round(float(distances_by_prompt(pictures).mean()), DECIMALS),
    )


def _confusion(rows: NDArray[np.float32], slug: str, evidence: Evidence) -> dict[str, float]:
    means = {slug: evidence.own, **evidence.rivals}
    mean = rows.astype(np.float64).mean(axis=0)
    return {director: round(float(mean @ means[director]), DECIMALS) for director in sorted(means)}


def _remarks(material: Material, earlier: Arm | None, *, drawn_in_full: bool) -> tuple[str, ...]:
    remarks = []
    if not drawn_in_full:
        remarks.append("The draft had failed, so no further pictures were drawn for the release.")
    if not material.rivals:
        remarks.append("No other director's held-out stills were there to tell this adapter's style from.")
    if material.before is not None and earlier is None:
        remarks.append(
            f"Version {material.before.version[:8]}, published before, was drawn otherwise, or drew too few of these "
            "prompts from the same noise, to be compared with."
        )
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
