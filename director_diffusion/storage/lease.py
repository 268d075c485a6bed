"""Lease: one holder among machines, as a small object of a bucket that its holder renews.

Belongs here: taking, renewing and giving back.  S3 writes it only where there is none, or where it is still the one
that was looked at; how old it is, the server's own clock says.  Who dies leaves it to whoever waits for it to grow old.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from director_diffusion.errors import BusyError, TransientError
from director_diffusion.storage.bucket import Bucket

LIVES_S = 60.0  # unrenewed
RENEWED_EVERY_S = 10.0
_LOOKS_EVERY_S = 1.0
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the former goes on while the machine is suspended


class Lease:
    """`name` of a bucket, held by `holding` (plain data that tells others who it is) on `machine`.

    Whoever asks keeps the processes of a machine apart by other means: another holder on it must have died.
    """

    def __init__(self, bucket: Bucket, name: str, holding: dict[str, Any], machine: str):
        self._bucket, self._name = bucket, name
        self._holding = {**holding, "machine": machine, "token": uuid.uuid4().hex}
        self._mark, self._renewed, self._ended = "", 0.0, threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)

    def check(self) -> None:
        """Raises TransientError where it could not be renewed for so long that another may have taken it."""
        if _now() - self._renewed > LIVES_S:
            raise TransientError(
                self._holding["holder"], "could not renew its lock in time: another may write now", "Run it again."
            )

    def take(self, what: str, wait_s: float, told: Callable[[str], None]) -> None:
        """Raises BusyError where another has it that lives, after `wait_s` (below 0: waits for as long as it lives)."""
        began, first = _now(), ""
        while not self._write(""):
            found = self._bucket.look(self._name)
            if found is None:
                continue  # it was given back just now
            other = json.loads(found.data)
            gone = other["machine"] == self._holding["machine"] or found.age_s > LIVES_S
            if gone and self._write(found.mark):
                break
            who = f"{other['holder']} (process {other['pid']} on {other['host']})"
            if not first:
                told(f"{what} is being written by {who}: waiting to see whether it lives, or for its end")
            if not gone and first and found.mark != first and 0 <= wait_s <= _now() - began:
                raise BusyError(
                    what, f"is being written by {who}", "Wait for it to end, or terminate it in the UI, then run again."
                )
            first = first or found.mark
            time.sleep(_LOOKS_EVERY_S)
        self._renewer.start()

    def give_back(self) -> None:
        """Let others have it, unless they may have taken it already."""
        self._ended.set()
        self._renewer.join()
        if self._mark and _now() - self._renewed < LIVES_S / 2:
            found = self._bucket.look(self._name)  # a clock may be wrong: is it ours still?
            if found is not None and json.loads(found.data).get("token") == self._holding["token"]:
                self._bucket.delete(self._name)

    def _write(self, mark: str) -> bool:
        """Write it where it still has that mark; whether it is ours then."""
        began = _now()
        data = json.dumps({**self._holding, "renewed": time.time()}).encode()
        written = self._bucket.write_unless_changed(self._name, data, mark)
        if not written:  # by another; or by us, and only the answer was lost
            found = self._bucket.look(self._name)
            written = found.mark if found is not None and found.data == data else ""
        if written:
            self._mark, self._renewed = written, began
        return bool(written)

    def _renew(self) -> None:
        while not self._ended.wait(RENEWED_EVERY_S):
            try:
                if not self._write(self._mark):
                    self._mark, self._renewed = "", float("-inf")  # another's
                    return
            except Exception:  # noqa: BLE001  # S3 cannot be reached, in whichever words: what `check` says, time tells
                continue


def _now() -> float:
    return time.clock_gettime(_CLOCK)


def living(bucket: Bucket, name: str) -> dict[str, Any] | None:
    """What the holder of a lease says of itself; None where there is none, or it has died."""
    found = bucket.look(name)
    return None if found is None or found.age_s > LIVES_S else dict(json.loads(found.data))


@contextmanager
def leased(
    bucket: Bucket,
    name: str,
    holding: dict[str, Any],
    machine: str,
    *,
    what: str,
    wait_s: float,
    told: Callable[[str], None],
) -> Iterator[Lease]:
    """Hold a lease."""
    lease = Lease(bucket, name, holding, machine)
    lease.take(what, wait_s, told)
    try:
        yield lease
    finally:
        lease.give_back()
