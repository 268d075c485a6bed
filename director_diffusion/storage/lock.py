"""Locks: one writer per asset and partition.

Belongs here: a lock that the operating system drops when its holder dies, and that names the holder to others.  It
keeps the processes of one machine apart; of a bucket, a `lease` beside it keeps machines apart.
"""

import json
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from director_diffusion.errors import BusyError
from director_diffusion.hashing import hash_bytes, hash_data, short
from director_diffusion.storage.store import Store, explained

GATE = "collection"  # the lock of whoever takes old files away, behind which writers wait
_BOOT = Path("/proc/sys/kernel/random/boot_id")
GLANCE_S = 5.0  # a writer is through the gate in a moment


@contextmanager
def held_gate(store: Store, holder: str) -> Iterator[Callable[[], None]]:
    """Hold off all who are about to write; who writes by now, `holders` tells.  Raises BusyError while another does.

    Yields what is to be called before anything is taken away: it raises TransientError where writers may go on.
    """
    with writer_lock(store, GATE, holder, wait_s=GLANCE_S) as check:
        yield check


def pass_gate(store: Store, holder: str, told: Callable[[str], None] = lambda _: None) -> None:
    """Wait while old files are taken away.  A writer calls it when it holds its lock and before it reads or writes:
    then either the one who takes away sees that lock, or is done."""
    if store.bucket is None:
        with writer_lock(store, GATE, holder, wait_s=-1.0, told=told):
            return
    from director_diffusion.storage.lease import living  # it is enough to look, and writers do not wait for each other

    waited = False
    while (other := living(store.bucket, _lease_file(GATE))) is not None:
        if not waited:
            told(f"{GATE}: {_words(other)} is at it: waiting for its end")
        waited = True
        time.sleep(1.0)


def holders(store: Store) -> list[str]:
    """Who holds a lock of this store now, other than that of the gate, as far as they have written their notes."""
    folder, gate = _folder(store), _lock_file(GATE)
    found = []
    for note in sorted(folder.glob("*.holder")):
        if note.with_suffix(".lock").name == gate:
            continue
        lock = FileLock(note.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)  # what a killed holder left is no lock
        except Timeout:
            found.append(_holder(note))
        else:
            lock.release()
    return found if store.bucket is None else _lease_holders(store)


def _lease_holders(store: Store) -> list[str]:
    """Of a bucket: writers on all machines, of which each holds a lease."""
    from director_diffusion.storage.lease import living

    assert store.bucket is not None
    names = (f"locks/{name}" for name in store.names("locks"))
    leases = (living(store.bucket, name) for name in names if name != _lease_file(GATE))
    return [_words(lease) for lease in leases if lease is not None]


@contextmanager
def writer_lock(
    store: Store, name: str, holder: str, *, wait_s: float = 0.0, told: Callable[[str], None] = lambda _: None
) -> Iterator[Callable[[], None]]:
    """Hold the lock `name` of this store.  Raises BusyError, naming the holder, where another has it for `wait_s`.

    Below 0, it waits for as long as the other lives.  What it waits for is `told`.  Yields what a long work calls
    before it writes: it raises TransientError where the lock may have become another's.
    """
    file = f"the lock of {name}"
    with explained(file, store.url):
        folder = _folder(store)
        path = folder / _lock_file(name)
        note, lock = path.with_suffix(".holder"), FileLock(path)
        try:
            with suppress(Timeout):
                lock.acquire(timeout=0)
            if not lock.is_locked:
                if wait_s:
                    told(f"{name} is being written by {_holder(note)}: waiting for it")
                lock.acquire(timeout=wait_s)
        except Timeout as timeout:
            raise BusyError(
                name,
                f"is being written by {_holder(note)}",
                "Wait for it to end, or terminate it in the UI, then run again.",
            ) from timeout
    try:
        holding = {"holder": holder, "host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
        with explained(file, store.url):
            note.write_text(json.dumps(holding))
        try:
            if store.bucket is None:
                yield lambda: None
            else:
                from director_diffusion.storage.lease import leased

                place, machine = _lease_file(name), _machine(folder)
                with leased(store.bucket, place, holding, machine, what=name, wait_s=wait_s, told=told) as lease:
                    yield lease.check
        finally:
            with suppress(OSError):  # a note that stays is no lock, and what went wrong before is what is to be told
                note.unlink()
    finally:
        lock.release()


def _lock_file(name: str) -> str:
    return f"{short(hash_bytes(name.encode()))}.lock"


def _lease_file(name: str) -> str:
    return f"locks/{short(hash_bytes(name.encode()))}.json"


def _holder(note: Path) -> str:
    try:
        held = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):  # the holder is between taking the lock and writing its note
        return "another process"
    return _words(held)


def _words(held: Mapping[str, Any]) -> str:
    return f"{held['holder']} (process {held['pid']} on {held['host']})"


def _machine(folder: Path) -> str:
    """What tells the processes that this folder's locks keep apart from all others.

    A copy of this machine, made with the folder in it, has started by itself (`boot_id`); a container that begins with
    a copy of it has another folder (its device and number).
    """
    name, mine = folder / "machine", folder / f"machine-{uuid.uuid4().hex}"
    mine.write_text(uuid.uuid4().hex)
    try:
        with suppress(FileExistsError):
            name.hardlink_to(mine)  # the first one's stays, and is whole when it is there
    finally:
        mine.unlink()
    status = folder.stat()
    return short(hash_data([name.read_text(), _started(), status.st_dev, status.st_ino]))


def _started() -> str:
    """Another one after every start of the system; the machine's name where there is none."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return socket.gethostname()


def _folder(store: Store) -> Path:
    """Where lock files lie: inside a local store, else beside it on this machine."""
    if store.local_root is not None:
        folder = store.local_root / "locks"
    else:
        folder = Path(tempfile.gettempdir()) / f"director-locks-{short(hash_bytes(store.url.encode()))}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
