"""Withdrawing: a still leaves a store with all its traces, while nobody writes.

Belongs here: the order.  First a journal is written that says all that is to go, last it is deleted: whatever a kill
leaves, the next withdrawal of that director's, of any still, ends it.  The record of hashes comes before anything goes,
so what was withdrawn cannot be taken in again meanwhile.

    withdrawn/<director>.pending/<hash>.json     a journal
"""

import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from director_diffusion.errors import BusyError, StoreError
from director_diffusion.hashing import hash_bytes, short
from director_diffusion.stills.withdrawn import FOLDER, Withdrawn, add_withdrawn
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import MANIFEST
from director_diffusion.storage.lock import held_gate, holders
from director_diffusion.withdrawal.finding import find_withdrawal
from director_diffusion.withdrawal.plan import Withdrawal, read_withdrawal


@dataclass(frozen=True)
class Records:
    """What an orchestrator keeps of runs, as far as a withdrawal asks for it."""

    telling: Callable[[Withdrawal], Iterable[str]]
    """Ids of runs that tell of it."""
    forget: Callable[[Withdrawal], Sequence[str]]
    """Out with `runs` and what else tells of it; returns what could not be, in words."""
    going_on: Callable[[str], Sequence[str]]
    """Runs of a director's or of nobody's, in words: they may yet tell of it."""


def plan_withdrawal(
    store: Store,
    director: str,
    given: Sequence[str],
    records: Records,
    *,
    who: str,
    source: bool,
    moved_to: str,
    begun: Sequence[Withdrawal] = (),
) -> Withdrawal:
    """All that goes, also under names that only withdrawals know that were `begun` before.  Nothing is changed.

    Raises StoreError for a still that this director never had.
    """
    found = find_withdrawal(store, director, given, who=who, source=source, moved_to=moved_to, begun=begun)
    return replace(found, runs=tuple(records.telling(found)))


def withdraw(
    store: Store, director: str, given: Sequence[str], records: Records, *, who: str, source: bool, moved_to: str
) -> list[Withdrawal]:
    """Take it away; returns what went, with what was left of earlier withdrawals that were cut off.

    Raises BusyError while a stage of this store is at work, or a run goes on that may tell of it.
    """
    with held_gate(store, "director withdraw") as check:
        if busy := holders(store):
            raise BusyError(
                "the store",
                f"is being written by {', '.join(busy)}",
                "Wait for it to end, or terminate it in the UI, then withdraw again.",
            )
        _none_going_on(records, director)
        begun = pending(store, director)
        went = [_ended(store, name, records, check) for name in _journals(store, director)]
        plan = plan_withdrawal(store, director, given, records, who=who, source=source, moved_to=moved_to, begun=begun)
        journal = f"{_journal_folder(director)}/{short(hash_bytes(plan.written()))}.json"
        store.write(journal, plan.written())
        went.append(_ended(store, journal, records, check))
    return went


def pending(store: Store, director: str) -> list[Withdrawal]:
    """Withdrawals that were begun and not ended."""
    return [_read(store, name) for name in _journals(store, director)]


def _ended(store: Store, journal: str, records: Records, check: Callable[[], None]) -> Withdrawal:
    plan = _read(store, journal)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    add_withdrawn(store, plan.director, [Withdrawn(one.sha256, date, plan.who) for one in plan.taken])
    # What readers see goes first, and a manifest before its files: what is left at any moment is whole or is none.
    for name in (*plan.pointers, *(f"{folder}/{MANIFEST}" for folder in plan.artifacts)):
        check()
        store.delete(name)
    for name in (*plan.artifacts, *plan.items):
        check()
        _delete(store, name)
    for name in plan.source:
        check()
        _take_away(store, plan, name)
    store.forget()
    left = [*records.forget(plan), *_forget_late(store, plan, records, check), *_elsewhere(plan)]
    check()
    _remove([Path(path) for path in plan.paths])  # last: what somebody else owns holds up nothing but the journal's end
    store.delete(journal)
    return replace(plan, notes=(*plan.notes, *left))


def _none_going_on(records: Records, director: str) -> None:
    if runs := records.going_on(director):
        raise BusyError(
            ", ".join(runs),
            "may tell of it, and goes on",
            "Wait for its end, or terminate it in the UI, then withdraw again.",
        )


def _forget_late(store: Store, plan: Withdrawal, records: Records, check: Callable[[], None]) -> Sequence[str]:
    """What was told since the plan: a run that began meanwhile may have read what was there still, with no lock.

    One that begins from now on finds nothing.  Raises BusyError while one goes on: nobody knows what it has read.
    """
    _none_going_on(records, plan.director)
    late = tuple(run for run in records.telling(plan) if run not in plan.runs)
    for name in plan.artifacts if late else ():
        check()
        _delete(store, name)  # pictures that it was to show
    return records.forget(replace(plan, runs=late)) if late else ()


def _elsewhere(plan: Withdrawal) -> Iterator[str]:
    """What this machine does not see of the one on which it was begun."""
    away = [path for path in plan.paths if not os.path.lexists(path)] if plan.host != socket.gethostname() else []
    if away:
        yield f"Begun on {plan.host or 'another machine'}: delete there what is left of {', '.join(away)}."


def _take_away(store: Store, plan: Withdrawal, name: str) -> None:
    if plan.moved_to and store.exists(name):
        target = Path(plan.moved_to) / plan.director / PurePosixPath(name).relative_to(f"stills/{plan.director}")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".part-{target.name}")
        partial.write_bytes(store.read(name))
        partial.replace(target)
    _delete(store, name)


def _delete(store: Store, name: str) -> None:
    if store.exists(name):  # by a withdrawal that was cut off it may be gone
        store.delete(name)


def _remove(paths: Sequence[Path]) -> None:
    """All that can be removed.  Raises StoreError for the first that cannot."""
    stay: list[tuple[Path, OSError]] = []
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) or os.path.lexists(path):
                stay.append((path, error))
    if stay:
        path, why = stay[0]
        raise StoreError(
            str(path),
            f"could not be removed ({why.strerror or why}), {len(stay)} such in all; the rest is gone",
            "Delete it as its owner, or let this user, then withdraw again.",
        ) from why


def _read(store: Store, name: str) -> Withdrawal:
    try:
        return read_withdrawal(store.read(name))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            name, "is no journal of a withdrawal", "Delete it, and withdraw those stills again."
        ) from error


def _journals(store: Store, director: str) -> list[str]:
    folder = _journal_folder(director)
    return [f"{folder}/{name}" for name in store.names(folder) if name.endswith(".json")]


def _journal_folder(director: str) -> str:
    return f"{FOLDER}/{director}.pending"
