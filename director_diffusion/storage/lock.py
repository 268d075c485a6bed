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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from director_diffusion.errors import BusyError
from director_diffusion.hashing import hash_bytes, short
from director_diffusion.storage.store import Store, explained


@contextmanager
def writer_lock(
    store: Store, name: str, holder: str, *, wait_s: float = 0.0, told: Callable[[str], None] = lambda _: None
) -> Iterator[Callable[[], None]]:
    """Hold the lock `name` of this store.  Raises BusyError, naming the holder, where another has it for `wait_s`.

    Below 0, it waits for as long as the other lives.  What it waits for is `told`.  Yields what a long work calls
    before it writes: it raises TransientError where the lock may have become another's.
    """
    file, digest = f"the lock of {name}", short(hash_bytes(name.encode()))
    with explained(file, store.url):
        folder = _folder(store)
        path = folder / f"{digest}.lock"
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

                place, machine = f"locks/{digest}.json", _machine(folder)
                with leased(store.bucket, place, holding, machine, what=name, wait_s=wait_s, told=told) as lease:
                    yield lease.check
        finally:
            note.unlink(missing_ok=True)
    finally:
        lock.release()


def _holder(note: Path) -> str:
    try:
        held = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):  # the holder is between taking the lock and writing its note
        return "another process"
    return f"{held['holder']} (process {held['pid']} on {held['host']})"


def _machine(folder: Path) -> str:
    """What tells the processes that this folder's locks keep apart from all others."""
    name, mine = folder / "machine", folder / f"machine-{uuid.uuid4().hex}"
    mine.write_text(uuid.uuid4().hex)
    try:
        with suppress(FileExistsError):
            name.hardlink_to(mine)  # the first one's stays, and is whole when it is there
    finally:
        mine.unlink()
    return name.read_text()


def _folder(store: Store) -> Path:
    """Where lock files lie: inside a local store, else beside it on this machine."""
    if store.local_root is not None:
        folder = store.local_root / "locks"
    else:
        folder = Path(tempfile.gettempdir()) / f"director-locks-{short(hash_bytes(store.url.encode()))}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
