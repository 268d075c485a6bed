"""Collecting: what may go from a store, and taking it away while nobody writes.

Belongs here: the order.  An artifact loses its manifest first and its files after those of all others, so what a kill
leaves is no artifact, and the next collection takes it.  A stage that has taken its lock waits at the gate
(`storage/lock.py`) while a collection goes on, and a collection does not begin while a lock is held.
"""

import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from director_diffusion.errors import BusyError
from director_diffusion.retention.collection import LEAST_AGE, Collection, Kept, Policy, Removal
from director_diffusion.retention.items import Items
from director_diffusion.retention.keeping import kept_versions, made_at
from director_diffusion.retention.known import LATEST, MANIFEST, Known, pointed
from director_diffusion.storage.artifact import Manifest
from director_diffusion.storage.lock import held_gate, holders
from director_diffusion.storage.store import Store


def plan_collection(store: Store, policy: Policy, now: datetime) -> Collection:
    """What may go by this policy, and what stays.  Nothing is changed.

    Raises StoreError where a manifest or a record cannot be read: nobody knows then what it needs.
    """
    known = Known(store)
    kept = kept_versions(known, policy, now)
    counts, weights = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    artifacts = list[Removal]()
    for one in sorted(known, key=lambda one: one.made, reverse=True):  # what was made of others goes before them
        if one.folder in kept:
            counts[one.name, kept[one.folder]] += 1
            weights[one.name, kept[one.folder]] += one.bytes
        else:
            artifacts.append(Removal("artifact", one.name, one.folder, _why(one.made, policy, now), one.bytes))
    items = Items(known, kept, policy, now)
    cached, cached_kept = items.cached()
    remains = list(items.remains())
    gone = {one.name for one in (*artifacts, *remains)}
    notes = list(items.notes)
    if store.local_root is None:
        notes.append("Only a local store tells how old its files are: cached items and remains stay.")
    return Collection(
        removals=(*artifacts, *remains, *cached, *items.work(), *items.leftovers(gone)),
        kept=(*(Kept(name, why, n, weights[name, why]) for (name, why), n in counts.items()), *cached_kept),
        notes=tuple(notes),
    )


def collect(store: Store, wanted: Collection, policy: Policy, now: datetime | None = None) -> Collection:
    """Take away what is `wanted` and may go still; returns what went.

    Raises BusyError while a stage of this store is at work.
    """
    with held_gate(store, "director gc") as check:
        if busy := holders(store):
            raise BusyError(
                "the store",
                f"is being written by {', '.join(busy)}",
                "Wait for it to end, or terminate it in the UI, then collect again.",
            )
        plan = plan_collection(store, policy, now or datetime.now(UTC))
        names = wanted.names
        removals = [one for one in plan.removals if one.name in names]
        back = _remove_artifacts(store, [one for one in removals if one.kind == "artifact"], check)
        needed = {name for manifest in back.values() for name in Manifest.model_validate_json(manifest).references}
        for one in removals:
            check()
            if one.kind in ("item", "remains") and one.name not in needed:
                store.delete(one.name)
            elif one.kind in ("work", "leftover"):
                _remove_path(store, one.name)
        went = tuple(one for one in removals if one.name not in (*needed, *back))
    return Collection(went, plan.kept, plan.notes)


def _remove_artifacts(store: Store, removals: list[Removal], check: Callable[[], None]) -> dict[str, bytes]:
    """Returns the manifests of those that a stage has meanwhile found again: they are whole as before."""
    manifests = store.read_those([f"{one.name}/{MANIFEST}" for one in removals])
    for name in manifests:
        check()
        store.delete(name)
    pointers = {f"{one.name.rpartition('/')[0]}/{LATEST}" for one in removals}
    # A stage that finds its work done takes no lock before it points to it.
    latest = {pointed(name, content) for name, content in store.read_those(sorted(pointers)).items()}
    back = dict[str, bytes]()
    for one in removals:
        check()
        name = f"{one.name}/{MANIFEST}"
        if one.name in latest and name in manifests:
            store.write(name, manifests[name])
            back[one.name] = manifests[name]
        else:
            store.delete(one.name)
    return back


def _remove_path(store: Store, name: str) -> None:
    """Work and leftovers lie on this machine's disk; of the store's own the name is relative."""
    path = Path(name) if Path(name).is_absolute() else Path(store.full(name))
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _why(made: str, policy: Policy, now: datetime) -> str:
    when = made_at(made)
    age = f"{(now - when) / LEAST_AGE / 24:.0f} days old" if when is not None else "from before dates were noted"
    return f"{age}; not of the newest {policy.keep_versions}, and nothing that stays was made of it"
