"""Folds: by which stills the adapter is judged, and whose pictures stand for it there.

Belongs here: the one fold of a plan, or the two, and scores pooled over them.  With one, the adapter itself is judged
by stills that it never saw.  With two, it has learned all stills; two adapters stand for it, each judged by the stills
that it did not see, and only what takes no held-out stills is asked of the adapter itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.effects import Grid, Grids, StillsSplit, by_still
from director_diffusion.evaluation.metrics.distribution import cmmd
from director_diffusion.evaluation.metrics.memorisation import memorisation_threshold, nearest
from director_diffusion.evaluation.metrics.similarity import closeness
from director_diffusion.evaluation.seen import Arm, Seen, Vectors, closeness_grids, picture_grids, stills_of
from director_diffusion.evaluation.types import Metric
from director_diffusion.sampling.rows import ARMS, FOLD_ARMS
from director_diffusion.specs import Director, EvaluationPlan
from director_diffusion.stills.learned import Learned
from director_diffusion.stills.rows import Still
from director_diffusion.stills.split import second_fold
from director_diffusion.stills.still_set import StillSet

REFERENCE_QUANTILE = 0.25
LEAST = 2  # stills that a closeness is measured to


@dataclass(frozen=True)
class Fold:
    """Stills that judge, and those that the adapter judged by them has learned."""

    arm: str  # whose pictures are judged
    held_out: tuple[Still, ...]
    train: tuple[Still, ...]

    def judged(self, arms: Mapping[str, Arm]) -> dict[str, Arm]:
        """The three arms, this fold's adapter as the adapter."""
        return {**{of: arms[of] for of in ARMS}, "adapter": arms[self.arm]}


def folds_of(still_set: StillSet, plan: EvaluationPlan, director: Director) -> tuple[Fold, ...]:
    """The one fold of the stills' own split, or the plan's two.

    Raises EvaluationError for fewer than two stills on either side, StillsError where there are none for a second fold.
    """
    own = Fold("adapter", still_set.held_out, still_set.train)
    if plan.folds == 1:
        return (_checked(own, director),)
    split = second_fold(still_set.rows, director.stills.held_out_share)
    held_out, train = (
        tuple(still for still in still_set.kept if split[still.still] == name) for name in ("held_out", "train")
    )
    first, second = FOLD_ARMS
    return _checked(replace(own, arm=first), director), _checked(Fold(second, held_out, train), director)


def _checked(fold: Fold, director: Director) -> Fold:
    if min(len(fold.held_out), len(fold.train)) < LEAST:
        raise EvaluationError(
            f"evaluation of {director.slug}",
            f"there are {len(fold.held_out)} held-out and {len(fold.train)} training stills, where {LEAST} of each "
            "are needed to measure style by",
            "Raise stills.held_out_share in the director's file, or add stills of another film.",
        )
    return fold


def check_unseen(folds: Sequence[Fold], learned: Mapping[str, Learned], director: Director) -> None:
    """Raise EvaluationError where an adapter knows stills that are to judge it: they were split anew since."""
    for fold in folds:
        known = [still for still in fold.held_out if still.still in learned[fold.arm]]
        if known:
            raise EvaluationError(
                f"evaluation of {director.slug}",
                f"{len(known)} of {len(fold.held_out)} stills that are held out now are known to the adapter, "
                f"{known[0].film}/{known[0].name} among them",
                "The stills were split anew since: materialize latents, prompt_embeddings, the adapter and its samples "
                "again.",
            )


def learned_stills(still_set: StillSet, learned: Learned, director: Director) -> tuple[Still, ...]:
    """What an adapter was trained on, of the stills that there are.  Raises EvaluationError for fewer than two."""
    found = tuple(still for still in still_set.kept if learned.get(still.still) == "train")
    if len(found) < LEAST:
        raise EvaluationError(
            f"evaluation of {director.slug}",
            f"{len(found)} of the stills that the adapter was trained on are left to look for copies of",
            "Train the adapter again.",
        )
    return found


def scored(arms: Mapping[str, Arm], folds: Sequence[Fold], seen: Seen) -> tuple[Grids, Grids]:
    """Every metric's scores by arm, (prompts, seeds): as claims are made of them, what takes stills averaged over folds
    and told of the adapter; and as each arm's own pictures have them.
    """
    standard: dict[str, Arm] = {of: arms[of] for of in ARMS}
    judged = [closeness_grids(fold.judged(arms), seen, fold.held_out) for fold in folds]
    claimed, own = averaged(judged), picture_grids(arms, seen)
    for metric, by_arm in claimed.items():
        of_folds = {fold.arm: grids[metric]["adapter"] for fold, grids in zip(folds, judged, strict=True)}
        own[metric] = {of: grid for of, grid in by_arm.items() if of != "adapter"} | of_folds
    return picture_grids(standard, seen) | claimed, own


def released_style(arms: Mapping[str, Arm], folds: Sequence[Fold], metric: Metric, seen: Seen) -> Mapping[str, Grid]:
    """Closeness by arm of the adapter itself where folds stand for it: to stills that it has learned, so that too
    little of it says something and enough of it nothing.  {} where it is judged itself.
    """
    if len(folds) == 1:
        return {}
    return averaged([closeness_grids({of: arms[of] for of in ARMS}, seen, fold.held_out) for fold in folds])[metric]


def averaged(found: Sequence[Grids]) -> dict[Metric, dict[str, NDArray[np.float64]]]:
    """The mean over folds of each metric's grid of each arm."""
    return {
        metric: {of: np.mean([grids[metric][of] for grids in found], axis=0) for of in by_arm}
        for metric, by_arm in found[0].items()
    }


def stills_splits(arms: Mapping[str, Arm], folds: Sequence[Fold], seen: Seen) -> dict[Metric, StillsSplit]:
    """Each closeness taken apart by held-out still."""
    vectors: dict[Metric, Vectors | None] = {
        "clip": seen.embedder,
        "encoder": seen.encoder,
        "projection": seen.style_projection,
    }
    return {
        metric: StillsSplit(
            tuple(
                by_still(
                    {of: arm.rows(found) for of, arm in fold.judged(arms).items()}, stills_of(found, fold.held_out)
                )
                for fold in folds
            )
        )
        for metric, found in vectors.items()
        if found is not None
    }


def reference_closeness(folds: Sequence[Fold], vectors: Vectors) -> float:
    """The closeness that a quarter of a fold's training stills stay below, to its held-out ones; mean over folds."""
    return float(
        np.mean(
            [
                np.quantile(
                    closeness(stills_of(vectors, fold.train), stills_of(vectors, fold.held_out)), REFERENCE_QUANTILE
                )
                for fold in folds
            ]
        )
    )


def nearness(
    of: str,
    arms: Mapping[str, Arm],
    folds: Sequence[Fold],
    vectors: Vectors,
    director: str,
    rivals: Mapping[str, NDArray[np.float64]],
) -> dict[str, NDArray[np.float64]]:
    """Closeness (prompts, seeds) of an arm's pictures to each director's held-out stills, by director's slug."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for fold in folds:
        pictures = fold.judged(arms)[of].cube(vectors).astype(np.float64)
        own = stills_of(vectors, fold.held_out).astype(np.float64).mean(axis=0)
        for slug, mean in {director: own, **rivals}.items():
            found.setdefault(slug, []).append(pictures @ mean)
    return {slug: np.mean(grids, axis=0) for slug, grids in found.items()}


def cmmd_of(of: str, arms: Mapping[str, Arm], folds: Sequence[Fold], vectors: Vectors) -> float:
    """CMMD of an arm's pictures to the held-out stills, × 1000, mean over folds."""
    return float(
        np.mean([cmmd(fold.judged(arms)[of].rows(vectors), stills_of(vectors, fold.held_out)) for fold in folds])
    )


def chance_of(folds: Sequence[Fold], vectors: Vectors) -> float:
    """The share of held-out stills that are nearer to a training still than those are to each other."""
    beyond = 0.0
    for fold in folds:
        train = stills_of(vectors, fold.train)
        found = nearest(stills_of(vectors, fold.held_out), train)
        beyond += found.beyond(memorisation_threshold(train)) * len(fold.held_out)
    return beyond / sum(len(fold.held_out) for fold in folds)
