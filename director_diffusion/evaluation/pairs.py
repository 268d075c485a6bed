"""Pairs: pictures of an adapter beside the training stills nearest to them, for people who may see the stills.

Belongs here: the pairs and their picture.  Which still is nearest is `metrics.memorisation`'s matter; nothing of this
is published.
"""

from collections.abc import Sequence

from PIL import Image

from director_diffusion.evaluation.metrics.memorisation import Neighbours
from director_diffusion.evaluation.seen import Arm
from director_diffusion.evaluation.types import Pair
from director_diffusion.sampling.grids import CELL, labelled_grid
from director_diffusion.sampling.images import open_picture
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store

SHOWN = 6


def pairs_grid(pairs: Sequence[Pair], still_set: StillSet, store: Store) -> Image.Image:
    """The nearest pairs, a row each: the picture, and the still."""
    stills = {still.still: still for still in still_set.kept}
    shown = pairs[:SHOWN]
    return labelled_grid(
        [[open_picture(store, pair.reference), still_set.open(stills[pair.still])] for pair in shown],
        rows=[f"{pair.similarity:.3f}{' beyond' if pair.beyond else ''}: {pair.film}/{pair.name}" for pair in shown],
        columns=["adapter", "nearest training still"],
        width=CELL,
    )


def pairs_of(adapter: Arm, neighbours: Neighbours, threshold: float, train: Sequence[Still]) -> tuple[Pair, ...]:
    """Every picture with the still that it is nearest to, the nearest first."""
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
