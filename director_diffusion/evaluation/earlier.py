"""Earlier: the version that was published before, beside the adapter that is judged.

Belongs here: what of the two can be compared.  Which version that is, is `published_before`'s matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from director_diffusion.evaluation.claims import Published
from director_diffusion.evaluation.folds import LEAST, Fold, averaged
from director_diffusion.evaluation.seen import Arm, Seen, closeness_grids, picture_grids
from director_diffusion.sampling.rows import Sample
from director_diffusion.stills.learned import Learned

LEAST_COMMON = 8  # prompts that a comparison with an earlier version needs to be worth a claim


@dataclass(frozen=True)
class Before:
    """The version that was published before: its name, how it was drawn, its adapters' pictures, what they learned."""

    version: str
    drawing: str
    samples: tuple[Sample, ...]
    learned: Mapping[str, Learned]  # by arm

    @property
    def words(self) -> str:
        return f"Version {self.version[:8]}, published before,"


@dataclass(frozen=True)
class Compared:
    """Arms of both for the prompts and noise that both have drawn."""

    now: Mapping[str, Arm]
    earlier: Mapping[str, Arm]

    @property
    def pictures(self) -> list[Sample]:
        return [sample for arm in self.earlier.values() for sample in arm.flat]


def compared(before: Before | None, drawing: str, arms: Mapping[str, Arm], prompts: int) -> Compared | None:
    """What both have drawn; None where that are too few of the plan's `prompts`, or they were drawn otherwise: the
    sampler's effect must not be taken for the adapter's.
    """
    if before is None or before.drawing != drawing:
        return None
    by_place: dict[tuple[str, str, int], Sample] = {
        (sample.arm, sample.prompt, sample.seed): sample for sample in before.samples
    }
    drawn = np.array(
        [[("adapter", one.prompt, one.seed) in by_place for one in row] for row in arms["adapter"].samples], bool
    )
    least = min(LEAST_COMMON, prompts)
    places = np.flatnonzero(drawn.sum(axis=0) >= least).tolist()  # of seeds: either plan may have more of them
    rows = np.flatnonzero(drawn[:, places].all(axis=1)).tolist()
    if not places or len(rows) < least:
        return None
    now = {
        of: Arm(tuple(tuple(arm.samples[row][place] for place in places) for row in rows)) for of, arm in arms.items()
    }
    earlier = {
        of: Arm(tuple(tuple(by_place[of, one.prompt, one.seed] for one in row) for row in arm.samples))
        for of, arm in now.items()
        if all((of, one.prompt, one.seed) in by_place for one in arm.flat)
    }
    return Compared(now, earlier)


def published_of(
    both: Compared, before: Before, folds: Sequence[Fold], seen: Seen
) -> tuple[Published, tuple[str, ...]]:
    """The scores of both, and what is to be said of them.

    Style is compared over the held-out stills that the earlier version has not learned either, if two of each fold are
    left; else not at all: it would be told nearer to the stills for having seen them.
    """
    shared = {"base_in_style": both.now["base_in_style"]}
    grids = picture_grids({**shared, "adapter": both.now["adapter"], "published": both.earlier["adapter"]}, seen)
    prompts = len(both.now["adapter"].samples)
    unseen = [
        [still for still in fold.held_out if still.still not in before.learned.get(fold.arm, ())] for fold in folds
    ]
    if any(len(left) < LEAST for left in unseen) or not all(fold.arm in both.earlier for fold in folds):
        note = f"{before.words} has learned stills that are held out now: its style is not compared."
        return Published(grids, prompts), (note,)
    judged = [
        closeness_grids({**shared, "adapter": both.now[fold.arm], "published": both.earlier[fold.arm]}, seen, left)
        for fold, left in zip(folds, unseen, strict=True)
    ]
    all_of, left_over = sum(len(fold.held_out) for fold in folds), sum(map(len, unseen))
    notes: tuple[str, ...] = ()
    if left_over < all_of:
        notes = (
            f"{before.words} has learned {all_of - left_over} of the {all_of} stills held out now: style is compared "
            "over the others.",
        )
    return Published(grids | averaged(judged), prompts), notes
