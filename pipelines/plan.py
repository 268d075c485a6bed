"""The plan: what a run of a director would make, by Dagster's own staleness and by what the store has.

Belongs here: telling which assets would run and why, of the roots by looking at what people put there.  What they would
take is `storage/figures.py`'s.
"""

import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContext

from assets_defs.pick import look_at_pick
from assets_defs.roots import LOOKS
from assets_defs.sign_off import look_at_sign_offs
from director_diffusion.errors import DirectorError
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import content_version, describe_files, is_made, latest_artifact
from director_diffusion.storage.figures import Figures, figures
from resources.configs import ConfigsResource

State = Literal["missing", "stale", "may follow"]
Looks = Mapping[dg.AssetKey, Callable[[str, Path], object]]
"""By root: writes what there is of a director into a folder."""


@dataclass(frozen=True)
class Step:
    """One asset that would be made."""

    director: str  # "" for what is of no director
    asset: str
    state: State
    why: str
    figures: Figures | None  # of earlier versions; None where there is none yet


class _Loading(LoadingContext):
    """What Dagster reads events through."""

    def __init__(self, instance: dg.DagsterInstance):
        self._instance, self._loaders = instance, dict[type, Any]()

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict[type, Any]:
        return self._loaders


def looks_at(store: Store, configs: ConfigsResource, recipes: Collection[str]) -> Looks:
    """How the roots of a project look at what people put there."""
    looks = {dg.AssetKey([name]): partial(look, store, configs) for name, look in LOOKS.items()}
    picks = {dg.AssetKey([recipe, "pick"]): partial(look_at_pick, store, recipe) for recipe in recipes}
    return {
        **looks,
        **picks,
        **{dg.AssetKey([one, "sign_off"]): partial(look_at_sign_offs, store, one) for one in recipes},
    }


def plan_runs(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    store: Store,
    keys: Collection[dg.AssetKey],
    directors: Collection[str],
    looks: Looks,
) -> list[Step]:
    """What runs of these assets would make, in lineage order; nothing is run, and nothing is written."""
    graph = definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, _Loading(instance))
    known: dict[dg.AssetKey, Figures | None] = {}
    steps, shared = list[Step](), set[dg.AssetKey]()
    for director in directors:
        run = dict[dg.AssetKey, State]()
        for key in graph.toposorted_asset_keys:
            if key not in keys:
                continue
            place = director if graph.get(key).partitions_def is not None else None
            found = (
                _state(resolver, store, key, place)
                or (_changed(store, key, director, looks[key]) if key in looks else None)
                or _following(graph.get(key).parent_keys, run)
            )
            if found is None:
                continue
            run[key] = found[0]
            if place is None and key in shared:
                continue
            shared |= {key} if place is None else set()
            if key not in known:
                known[key] = figures(store, tuple(key.path))
            steps.append(Step(place or "", key.to_user_string(), *found, known[key]))
    return steps


def _state(
    resolver: CachingStaleStatusResolver, store: Store, key: dg.AssetKey, place: str | None
) -> tuple[State, str] | None:
    if not is_made(store, tuple(key.path), place):
        return "missing", "the store has none"
    status = resolver.get_status(key, place)
    if status is StaleStatus.MISSING:
        return "missing", "this instance has not made it; what the store has may be found again"
    if status is StaleStatus.STALE:
        reasons = (
            f"{cause.reason} ({cause.dependency.asset_key.to_user_string()})" if cause.dependency else cause.reason
            for cause in resolver.get_stale_causes(key, place)
        )
        return "stale", "; ".join(dict.fromkeys(reasons))
    return None


def _changed(
    store: Store, key: dg.AssetKey, director: str, look: Callable[[str, Path], object]
) -> tuple[State, str] | None:
    """Whether a root would find something else than it did."""
    with tempfile.TemporaryDirectory(prefix="director-look-") as out:
        try:
            look(director, Path(out))
            found = content_version(describe_files(Path(out)), ())
            known = latest_artifact(store, tuple(key.path), director).version
        except DirectorError as error:
            return "stale", f"looking at it fails: {error}"
    return None if found == known else ("stale", "people have changed what it looks at")


def _following(parents: Collection[dg.AssetKey], run: Mapping[dg.AssetKey, State]) -> tuple[State, str] | None:
    """What is fresh itself runs where what it reads comes out otherwise."""
    before = sorted(parent.to_user_string() for parent in parents if parent in run)
    return ("may follow", f"if another comes of {', '.join(before)}") if before else None
