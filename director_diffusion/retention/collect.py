"""Collecting: what may go from a store, and taking it away while nobody writes.

Belongs here: the order.  Users go before what they were made of, and each loses its manifest first, so what a kill
leaves is no artifact, and the next collection takes it.  Those of which none was made of another go together: of a
bucket, in a few requests.  A stage that has taken its lock waits at the gate
(`storage/lock.py`) while a collection goes on, and a collection does not begin while a lock is held.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from director_diffusion.errors import BusyError
from director_diffusion.retention.collection import LEAST_AGE, Collection, Kept, Policy, Removal
from director_diffusion.retention.items import Items
from director_diffusion.retention.keeping import kept_versions
from director_diffusion.retention.known import Known, Version, pointed
from director_diffusion.storage.artifact import LATEST, MANIFEST
from director_diffusion.storage.latest import made_at
from director_diffusion.storage.lock import held_gate, holders
from director_diffusion.storage.store import Store

_AT_ONCE = 500  # artifacts, or items, that go with one look whether nobody else may write


def plan_collection(store: Store, policy: Policy, now: datetime) -> Collection:
    """What may go by this policy, and what stays.  Nothing is changed.

    Raises StoreError where a manifest or a record cannot be read: nobody knows then what it needs.
    """
    return _plan(Known(store), policy, now)


def _plan(known: Known, policy: Policy, now: datetime) -> Collection:
    kept = kept_versions(known, policy, now)
    counts, weights = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for folder, why in kept.items():
        one = known.by_folder[folder]
        counts[one.name, why] += 1
        weights[one.name, why] += one.bytes
    gone = known.users_first(one for one in known if one.folder not in kept)
    artifacts = [Removal("artifact", one.name, one.folder, _why(one.made, policy, now), one.bytes) for one in gone]
    items = Items(known, kept, policy, now)
    cached, cached_kept = items.cached()
    remains = list(items.remains())
    notes = list(items.notes)
    if known.store.local_root is None and known.store.bucket is None:
        notes.append("This store does not tell how old its files are: cached items and remains stay.")
    return Collection(
        removals=(
            *artifacts,
            *remains,
            *cached,
            *items.observed(),
            *items.work(),
            *items.leftovers({one.name for one in (*artifacts, *remains)}),
        ),
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
        known = Known(store)
        plan = _plan(known, policy, now or datetime.now(UTC))
        names = wanted.names
        removals = [one for one in plan.removals if one.name in names]
        stay = _remove_artifacts(
            known, [known.by_folder[one.name] for one in removals if one.kind == "artifact"], check
        )
        stay |= {name for folder in stay for name in known.by_folder[folder].references}
        rest = [one for one in removals if one.kind != "artifact" and one.name not in stay]
        items = [one.name for one in rest if one.kind == "item"]
        for start in range(0, len(items), _AT_ONCE):
            check()
            store.delete_files(items[start : start + _AT_ONCE])
        for one in rest:
            if one.kind != "item":
                check()
                _remove(store, one.name)
    return Collection(tuple(one for one in removals if one.name not in stay), plan.kept, plan.notes)


def _remove_artifacts(known: Known, some: Sequence[Version], check: Callable[[], None]) -> set[str]:
    """Returns the folders of those that a stage has meanwhile found again, with all that they were made of.

    A stage that finds its work done takes no lock before it leads readers to it.
    """
    stay = set[str]()
    for level in known.levels(some):
        going = [one for one in level if one.folder not in stay]
        for start in range(0, len(going), _AT_ONCE):
            check()
            part = going[start : start + _AT_ONCE]
            again = _found_again(known.store, part)
            stay |= known.with_ancestors(*again)
            _delete(known, [one for one in part if one not in again])
    return stay


def _found_again(store: Store, some: Sequence[Version]) -> list[Version]:
    """Take the manifests, and put those back to which readers are led by now."""
    manifests = {one.folder: f"{one.folder}/{MANIFEST}" for one in some}
    contents = store.read_those(manifests.values())
    store.delete_files(list(manifests.values()))
    pointers = {f"{one.place}/{LATEST}" for one in some}
    led_to = {pointed(name, told) for name, told in store.read_those(pointers).items()}
    found = [one for one in some if one.folder in led_to]
    for one in found:
        store.write(manifests[one.folder], contents[manifests[one.folder]])
    return found


def _delete(known: Known, some: Sequence[Version]) -> None:
    """What is left of them."""
    if known.store.bucket is not None:
        known.store.delete_files([name for one in some for name in known.inside[one.folder]])
        return
    for one in some:
        known.store.delete(one.folder)


def _remove(store: Store, name: str) -> None:
    """A name of the store's, or what lies beside it on this machine's disk."""
    if not Path(name).is_absolute():
        store.delete(name)
    elif (path := Path(name)).is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _why(made: str, policy: Policy, now: datetime) -> str:
    when = made_at(made)
    age = f"{(now - when) / LEAST_AGE / 24:.0f} days old" if when is not None else "from before dates were noted"
    return f"{age}; not of the newest {policy.keep_versions}, and nothing that stays was made of it"
