"""The exhibition: what there is to vote on now.

Belongs here: pairs of the newest evaluations, and stills to compare with, read from the store.  Who is shown what is
the booth's matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from director_diffusion.sampling.rows import FILE as SAMPLES_FILE
from director_diffusion.sampling.rows import Sample
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import usable_artifacts
from director_diffusion.storage.watched import Watched
from director_diffusion.voting.pairs import Pair, Shown, pairs_of

EVALUATION, STILLS = "evaluation", "stills"
LOOK_AGAIN_S = 10.0


@dataclass(frozen=True)
class Hung:
    """A still to compare with."""

    of: StillSet
    still: Still

    def open(self) -> Image.Image:
        return self.of.open(self.still)


@dataclass(frozen=True)
class Show:
    """What is on show, at one moment."""

    pairs: Mapping[str, Pair]  # by identity, and in its order
    stills: Mapping[str, StillSet]  # by director

    def judging(self, director: str) -> tuple[Still, ...]:
        """The stills that votes and metrics compare with: held-out ones, which no adapter has learned.  Of a director
        without any, all."""
        held = self.stills.get(director)
        return () if held is None else held.held_out or held.kept

    @cached_property
    def named(self) -> "Mapping[tuple[str, str], Shown | Hung]":
        """Everything that may be looked at, by its kind and what it is known as in the store."""
        stills = {
            ("still", still.still): Hung(self.stills[of], still) for of in self.stills for still in self.judging(of)
        }
        return {**{("sample", sha256): shown for sha256, shown in self.pictures.items()}, **stills}

    @cached_property
    def pictures(self) -> Mapping[str, Shown]:
        """All pictures, by their hash and in its order: how long a look-up takes says nothing of the arm."""
        found = {shown.sha256: shown for pair in self.pairs.values() for shown in pair.pictures}
        return dict(sorted(found.items()))


class Exhibition:
    """The pairs of all directors and recipes that have been evaluated.

    It looks into the store again after ten seconds, so that a new evaluation is shown, and reads what has changed.
    """

    def __init__(
        self, store: Store, directors: Sequence[str], recipes: Sequence[str], *, look_again_s: float = LOOK_AGAIN_S
    ):
        self.store, self._directors, self._recipes = store, directors, recipes
        assets = [(STILLS,), *((recipe, EVALUATION) for recipe in recipes)]
        self._watched = Watched(store, assets, directors, self._read, every_s=look_again_s, most_s=6 * look_again_s)

    def now(self) -> Show:
        """What is on show.  Raises StoreError where the store cannot be read."""
        return self._watched.now()

    def _read(self) -> Show:
        pairs: dict[str, Pair] = {}
        for recipe in self._recipes:
            for director, one in usable_artifacts(self.store, (recipe, EVALUATION), self._directors).items():
                pairs |= {pair.identity: pair for pair in evaluated_pairs(one, director, recipe)}
        stills = usable_artifacts(self.store, (STILLS,), self._directors)
        return Show(dict(sorted(pairs.items())), {director: StillSet.of(one) for director, one in stills.items()})


def evaluated_pairs(evaluation: Artifact, director: str, recipe: str) -> tuple[Pair, ...]:
    """The pairs of the pictures that an evaluation judged."""
    return pairs_of(director, recipe, evaluation.table(SAMPLES_FILE, Sample))
