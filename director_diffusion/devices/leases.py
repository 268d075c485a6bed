"""Leases: of a machine's devices, each is had by one at a time.

Belongs here: who gets which device, who waits, and who is refused.  A lease is a file lock, which the operating system
drops however its holder ends; all who share the folder share the devices, whatever their store or deployment.

Takers go through one door, one by one, so that several devices are had all together or not at all.  Who has waited long
stays in the door until its devices are free: else who wants several would wait for ever on those who want one.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from director_diffusion.devices.asking import Asked, Had, Seen, locked, release
from director_diffusion.devices.device import GIB, Device, Devices
from director_diffusion.devices.notes import Health, Holder, read_health, read_holder, write_note
from director_diffusion.errors import DeviceError, DevicesBusyError

FOR_EVER = -1.0


@dataclass(frozen=True)
class Pace:
    """Seconds."""

    poll: float = 0.1  # between looks at the locks
    look: float = 5.0  # between questions about memory, while nothing else changes
    patience: float = 60.0  # after which others wait behind
    grace: float = 2.0  # before the first remark about what is waited for
    tell: float = 30.0  # between remarks
    set_aside: float = 600.0  # for a device that failed, until it is tried again
    trusted: float = 600.0  # for one that did well, until it is tried again


@dataclass(frozen=True)
class Held:
    """A device, who holds it and why it is set aside."""

    device: Device
    holder: str  # "" where it is free
    fault: str


class DeviceLeases:
    """Leases of `devices`, by locks in `folder`, which is of this machine.  It may be shared by threads."""

    def __init__(self, folder: Path, devices: Devices, pace: Pace = Pace()):
        self._folder, self._devices, self._pace = folder, devices, pace

    @contextmanager
    def taken(
        self,
        count: int = 1,
        *,
        holder: str,
        needed_bytes: int | None = None,
        wait_s: float = FOR_EVER,
        told: Callable[[str], None] = lambda _: None,
    ) -> Iterator[tuple[Device, ...]]:
        """Hold `count` devices with `needed_bytes` free (None: three quarters) each, those with the most first.

        Raises DeviceError at once where that can never be, DevicesBusyError after `wait_s` (below 0, it waits).  What
        it waits for is `told`.
        """
        asked = Asked(count, needed_bytes, holder, time.monotonic(), wait_s, told)
        had = self._wait(asked)
        try:
            yield tuple(one.device for one in had)
        except BaseException:
            for one in had:
                self._file(one.device, "health").unlink(missing_ok=True)  # whoever is next has it tried
            raise
        finally:
            release(had)

    def survey(self) -> list[Held]:
        """All devices and who has them now.  Changes nothing.  Raises DeviceError where they cannot be asked."""
        return [
            Held(device, self._holder(device) if self._is_held(device) else "", self._fault(device))
            for device in self._devices.table()
        ]

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _wait(self, asked: Asked) -> list[Had]:
        self._prepare()
        seen = Seen()
        door = self._lock("door")
        try:
            while True:
                if door.is_locked or locked(door):
                    self._choose(asked, seen)
                    if seen.had or not (seen.is_near and asked.waited_s > self._pace.patience):
                        door.release()
                    if seen.had and self._do_well(seen):
                        return seen.had
                else:
                    seen.words = "those who came before have not got theirs yet"
                if asked.waited_s > self._pace.grace:
                    asked.tell(seen.words, every_s=self._pace.tell)
                if 0 <= asked.wait_s < asked.waited_s:
                    raise DevicesBusyError(
                        asked.words, f"did not become free in {asked.wait_s:g} s: {seen.words}", "Try again later."
                    )
                time.sleep(self._pace.poll)
        except BaseException:
            release(seen.had)
            raise
        finally:
            door.release()

    def _choose(self, asked: Asked, seen: Seen) -> None:
        """In the door: take what is wanted into `seen.had`, or say there what is waited for."""
        if seen.free is None:
            seen.look(self._devices.table())
        got = [Had(device, lock) for device in seen.table if device.uuid and locked(lock := self._lock(device.uuid))]
        try:
            free = {one.device.uuid for one in got}
            if seen.free not in (None, free) or time.monotonic() - seen.asked_at > self._pace.look:
                seen.look(self._devices.table())
            seen.free = free
            usable = self._usable(asked, seen.table)
            now = {device.uuid: device for device in usable}
            ready = [
                Had(now[one.device.uuid], one.lock)
                for one in got
                if one.device.uuid in now and asked.fits(now[one.device.uuid])
            ]
            ready.sort(key=lambda one: (-one.device.free_bytes, one.device.index))
            held = [device for device in usable if device.uuid not in free]
            seen.is_near = len(ready) + len(held) >= asked.count
            if len(ready) >= asked.count:
                seen.had = ready[: asked.count]
                for one in seen.had:
                    write_note(self._file(one.device, "holder"), Holder.here(asked.holder))
                return
            seen.words = self._story(asked, seen, free)
        finally:
            kept = {id(one.lock) for one in seen.had}
            release([one for one in got if id(one.lock) not in kept])

    def _usable(self, asked: Asked, table: Sequence[Device]) -> list[Device]:
        """Devices that are not set aside.  Raises DeviceError where there can never be enough."""
        if len(table) < asked.count:
            raise DeviceError(asked.words, f"are wanted, and there are {len(table)}", "Look at director doctor.")
        usable = [device for device in table if not self._fault(device)]
        if len(usable) < asked.count:
            faults = "; ".join(f"{device.title}: {fault}" for device in table if (fault := self._fault(device)))
            raise DeviceError(
                asked.words,
                f"cannot be had, of {len(table)} that there are: {faults}",
                f"Mend them, or reset them (nvidia-smi --gpu-reset); one that failed is tried again after "
                f"{self._pace.set_aside / 60:g} minutes.",
            )
        large = [device for device in usable if asked.needed(device) <= device.total_bytes]
        if len(large) < asked.count:
            most = max(device.total_bytes for device in usable) / GIB
            raise DeviceError(
                asked.words,
                f"cannot be had with {(asked.needed_bytes or 0) / GIB:.1f} GiB each: the largest has {most:.1f}",
                "Ask for less (gpu_memory_gib in the deployment).",
            )
        return usable

    def _do_well(self, seen: Seen) -> bool:
        """Whether all that were taken do, once tried; else none is kept, and the faulty are set aside."""
        for one in seen.had:
            note = self._file(one.device, "health")
            known = read_health(note)
            if known is not None and not known.fault and known.age_s < self._pace.trusted:
                continue
            fault = self._devices.fault_of(one.device)
            write_note(note, Health(time.time(), fault))
            if fault:
                seen.words = f"{one.device.title} is set aside: {fault}"
                release(seen.had)
                seen.had = []
                return False
        return True

    def _story(self, asked: Asked, seen: Seen, free: set[str]) -> str:
        def of(device: Device) -> str:
            if fault := self._fault(device):
                return f"is set aside: {fault}"
            if device.uuid not in free:
                return f"is held by {self._holder(device)}"
            if asked.fits(device):
                return "is free"
            have, want = device.free_bytes / GIB, asked.needed(device) / GIB
            return f"has {have:.1f} GiB free of the {want:.1f} wanted, others hold the rest"

        return "; ".join(f"{device.title} {of(device)}" for device in seen.table)

    # --- files -------------------------------------------------------------------------------------------------------

    def _fault(self, device: Device) -> str:
        """What the driver has against it, or what the last look at it found, for as long as that counts."""
        if device.fault:
            return device.fault
        health = read_health(self._file(device, "health"))
        return health.fault if health is not None and health.age_s < self._pace.set_aside else ""

    def _holder(self, device: Device) -> str:
        holder = read_holder(self._file(device, "holder"))
        return holder.words if holder is not None else "another process"

    def _is_held(self, device: Device) -> bool:
        if not self._path(device.uuid).exists():
            return False  # nobody has ever taken it
        lock = self._lock(device.uuid)
        free = locked(lock)
        lock.release()
        return not free

    def _prepare(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path("door").touch()
        except OSError as error:
            raise DeviceError(
                f"the folder of device leases {self._folder}",
                f"cannot be written: {error.strerror}",
                "Set DIRECTOR_DEVICES to a folder of this machine that all who share its GPUs may write to.",
            ) from error

    def _lock(self, name: str) -> FileLock:
        return FileLock(self._path(name), timeout=0, thread_local=False)  # one thread may take, another give back

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _file(self, device: Device, kind: str) -> Path:
        return self._path(device.uuid).with_suffix(f".{kind}")
