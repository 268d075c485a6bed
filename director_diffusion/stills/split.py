"""Split: which stills the adapter never sees, so that its steps can be chosen and it can be judged by them.

Whole films are held out where there are several; of a single film, whole clusters of similar stills.  Films that share
similar stills stay together; where that would hold out more than half, clusters are held out instead of films.  The
choice is by hash of names and contents, so it is the same on every machine, and a new still moves few others.  Of what
is held out, a third (`validation`) chooses a training's step; the verdict is spoken over the rest alone.

A plan may ask for two folds: the second holds out what the first has learned, by the same rules.

People may take single stills out, bring them back or crop them.  All others stay where they were before that.

Belongs here: that choice.  Does not: what is similar (`similarity`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from director_diffusion.errors import StillsError
from director_diffusion.hashing import hash_bytes
from director_diffusion.stills.rows import Split, Still
from director_diffusion.stills.similarity import linked

MIN_HELD_OUT = 2  # to judge by
MIN_VALIDATION = 1
VALIDATION_SHARE = 1 / 3  # of what is not trained on


@dataclass(frozen=True)
class Member:
    """What the split needs of a kept still."""

    film: str
    cluster: int
    sha256: str


@dataclass(frozen=True)
class _Unit:
    """Stills that stay on one side."""

    order: str  # a hash: units are taken in this order
    members: tuple[int, ...]


def split_anew(stills: Sequence[Member], share: float) -> list[Split]:
    """The split of kept stills, with near `share` of them away from training."""
    away = untrained(stills, share)
    choosing = validation(stills, away)
    return ["validation" if i in choosing else "held_out" if i in away else "train" for i in range(len(stills))]


def keep_sides(stills: Sequence[Member], sides: Mapping[str, Split]) -> list[Split] | None:
    """The split in which stills stay on the `sides` (by content) that they had, or None where too few would be left on
    one side.

    A still without a side goes to its cluster's, else where its film is.  Where it resembles stills of both sides,
    all of these are trained on, so that nothing that is held out resembles what is learned.
    """
    clusters, films = dict[int, set[Split]](), dict[str, set[Split]]()
    for still in stills:
        if (side := sides.get(still.sha256)) is not None:
            clusters.setdefault(still.cluster, set()).add(side)
            films.setdefault(still.film, set()).add(side)

    def side_of(still: Member) -> Split:
        beside = clusters.get(still.cluster, set())
        if "train" in beside:
            return "train"
        if (own := sides.get(still.sha256)) is not None:
            return own
        if beside:
            return "validation" if "validation" in beside else "held_out"
        film = films.get(still.film, set())
        return "held_out" if film and "train" not in film else "train"

    split = [side_of(still) for still in stills]
    enough = split.count("held_out") >= MIN_HELD_OUT and split.count("validation") >= MIN_VALIDATION
    return split if enough and "train" in split else None


def untrained(stills: Sequence[Member], share: float) -> set[int]:
    """Indices of the stills to keep from training: near `share` of them, at least three, and never all.

    Empty where that is impossible (fewer than four stills, or all alike): the checks say so.
    """
    least = MIN_HELD_OUT + MIN_VALIDATION
    target = max(share * len(stills), float(least))
    films = {still.film for still in stills}
    if len(films) > 1:
        chosen = _choose(_film_units(stills), target, limit=len(stills) / 2, least=least)
        if chosen:
            return chosen
    return _choose(_cluster_units(stills), target, limit=len(stills) - 1, least=least)


def validation(stills: Sequence[Member], away: set[int]) -> set[int]:
    """Of the stills kept from training (indices `away`), those that choose a training's step: about a third.

    Whole clusters of similar stills, so that the verdict is spoken over others; single stills where those are too
    large.
    """
    places = sorted(away)
    members = [stills[place] for place in places]
    limit = len(members) - MIN_HELD_OUT
    target = max(VALIDATION_SHARE * len(members), float(MIN_VALIDATION))
    chosen = _choose(_cluster_units(members), target, limit, MIN_VALIDATION) or _choose(
        _units(range(len(members)), [hash_bytes(one.sha256.encode()) for one in members]), target, limit, MIN_VALIDATION
    )
    return {places[index] for index in chosen}


def second_fold(stills: Sequence[Still], share: float) -> dict[str, Split]:
    """The split of a second fold, by still id: near `share` of the kept stills away, that the first fold has learned.

    `stills` are the rows of the stills' table.  Whole films that the first fold learned all of, where there are some;
    else whole clusters of similar stills.  Never more than half.  Raises StillsError where there are too few of either.
    """
    kept = [still for still in stills if still.status == "kept"]
    members = [Member(still.film, still.cluster, still.sha256) for still in kept]
    first = {index for index, still in enumerate(kept) if still.split != "train"}
    least = MIN_HELD_OUT + MIN_VALIDATION
    target, limit = max(share * len(kept), float(least)), len(kept) / 2

    def of(units: list[_Unit]) -> set[int]:
        return _choose([unit for unit in units if first.isdisjoint(unit.members)], target, limit, least)

    away = (of(_film_units(members)) or of(_cluster_units(members))) if first else set()
    if not away:
        raise StillsError(
            "second fold",
            f"of {len(kept)} stills in {len({still.film for still in kept})} film(s) the first fold holds {len(first)} "
            f"out, and of the others neither whole films nor clusters of similar stills make up {least} or more and at "
            "most half of all",
            "Add stills of another film, lower stills.held_out_share in the director's file, or give the plan `folds: "
            "1`.",
        )
    choosing = validation(members, away)
    return {
        still.still: "validation" if index in choosing else "held_out" if index in away else "train"
        for index, still in enumerate(kept)
    }


def _choose(units: list[_Unit], target: float, limit: float, least: int) -> set[int]:
    """Take units in order wherever that brings the number of stills nearer to `target`; never more than `limit`.

    Empty where no choice within `limit` holds at least `least`.
    """
    chosen: set[int] = set()
    for unit in units:
        more = len(chosen) + len(unit.members)
        if more <= limit and abs(more - target) < abs(len(chosen) - target):
            chosen |= set(unit.members)
    if len(chosen) >= least:
        return chosen
    # Every unit is much larger than the target: take the one that overshoots least.
    fitting = [unit for unit in units if least <= len(unit.members) <= limit]
    return set(min(fitting, key=lambda unit: len(unit.members)).members) if fitting else set()


def _film_units(stills: Sequence[Member]) -> list[_Unit]:
    """Films, those with similar stills joined, ordered by name."""
    nodes: dict[tuple[str, str | int], int] = {}
    for still in stills:
        nodes.setdefault(("film", still.film), len(nodes))
        nodes.setdefault(("cluster", still.cluster), len(nodes))
    pairs = [(nodes["film", still.film], nodes["cluster", still.cluster]) for still in stills]
    groups = linked(len(nodes), pairs)
    return _units([groups[film] for film, _ in pairs], [hash_bytes(still.film.encode()) for still in stills])


def _cluster_units(stills: Sequence[Member]) -> list[_Unit]:
    return _units([still.cluster for still in stills], [hash_bytes(still.sha256.encode()) for still in stills])


def _units(groups: Sequence[int], orders: Sequence[str]) -> list[_Unit]:
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    units = [_Unit(min(orders[index] for index in inside), tuple(inside)) for inside in members.values()]
    return sorted(units, key=lambda unit: unit.order)
