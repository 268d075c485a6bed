"""The plan: what a run of a director would make, by Dagster's own staleness and by what the store has.

Belongs here: telling which assets would run and why.  What they would take is `storage/figures.py`'s.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContext

from director_diffusion.storage import Store
from director_diffusion.storage.artifact import partition_folder
from director_diffusion.storage.figures import Figures, figures

State = Literal["missing", "stale", "may follow"]


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


def plan_runs(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    store: Store,
    keys: Collection[dg.AssetKey],
    directors: Collection[str],
) -> list[Step]:
    """What runs of these assets would make, in lineage order; nothing is run, and no root is looked at."""
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
            found = _state(resolver, store, key, place) or _following(graph.get(key).parent_keys, run)
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
    if not store.exists(f"{partition_folder(tuple(key.path), place)}/latest.json"):
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


def _following(parents: Collection[dg.AssetKey], run: Mapping[dg.AssetKey, State]) -> tuple[State, str] | None:
    """What is fresh itself runs where what it reads comes out otherwise."""
    before = sorted(parent.to_user_string() for parent in parents if parent in run)
    return ("may follow", f"if another comes of {', '.join(before)}") if before else None
