"""What a taker of devices asks for, what it saw last, and what it has."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from filelock import FileLock, Timeout

from director_diffusion.devices.device import Device

FREE_SHARE = 0.75  # of a device's memory, for one that other programs have not taken


@dataclass(frozen=True)
class Asked:
    """What somebody wants, and since when."""

    count: int
    needed_bytes: int | None
    holder: str
    since: float
    wait_s: float
    told: Callable[[str], None]
    _last: list[tuple[str, float]] = field(default_factory=list)

    @property
    def words(self) -> str:
        return f"{self.count} GPU{'s' if self.count > 1 else ''} for {self.holder}"

    @property
    def waited_s(self) -> float:
        return time.monotonic() - self.since

    def needed(self, device: Device) -> int:
        return int(FREE_SHARE * device.total_bytes) if self.needed_bytes is None else self.needed_bytes

    def fits(self, device: Device) -> bool:
        return device.free_bytes >= self.needed(device)

    def tell(self, words: str, *, every_s: float) -> None:
        now = time.monotonic()
        if all(words != before and now - at > every_s for before, at in self._last):
            self._last[:] = [(words, now)]
            self.told(f"waiting for {self.words}: {words}")


@dataclass(frozen=True)
class Had:
    device: Device
    lock: FileLock


@dataclass
class Seen:
    """What a taker saw last, and what it has."""

    table: Sequence[Device] = ()
    free: set[str] | None = None  # those that nobody holds
    asked_at: float = 0.0
    is_near: bool = False  # whether its devices would be there if all holders gave theirs back
    words: str = ""
    had: list[Had] = field(default_factory=list)

    def look(self, table: Sequence[Device]) -> None:
        self.table, self.asked_at = table, time.monotonic()


def locked(lock: FileLock) -> bool:
    """Take the lock if nobody has it: whether it is held now."""
    try:
        lock.acquire()
    except Timeout:
        return False
    return True


def release(had: Sequence[Had]) -> None:
    """Give all of them back."""
    for one in had:
        one.lock.release()
