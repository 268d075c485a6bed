"""Whether leases of devices hold, whoever dies.

    python -m benchmarks.leases [--leases 1000] [--processes 8] [--devices 4] [--seed 0] [--json]

Processes take leases of pretended devices one after the other, one in eight of two devices at once.  One in ten holders
is killed with -9 while it holds, and one in fifty takers at a random moment while it waits or holds; another process
takes its place, and the lease of who was killed before it held is asked for again.  Each holder leaves its number on
its devices, and looks whether whoever left one there is dead.  Processes are forked from this one, which has imported
no torch.  Exit code 1 where a bar is missed.
"""

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks.bars import at_least, at_most, print_report
from director_diffusion.devices import Device, DeviceLeases, Pace
from director_diffusion.devices.device import GIB
from director_diffusion.errors import DevicesBusyError

PACE = Pace(poll=0.002, patience=1.0)
HOLD_S, LONGEST_WAIT_S = 0.01, 60.0
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class PretendedDevices:
    """`devices.Devices` of which nobody else holds memory."""

    count: int

    def table(self) -> list[Device]:
        return [Device(index, f"GPU-{index}", "pretended", 80 * GIB, 80 * GIB) for index in range(self.count)]

    def fault_of(self, device: Device) -> str:
        return ""

    @contextmanager
    def in_use(self, devices: Sequence[Device]) -> Iterator[tuple[str, ...]]:
        yield ("cpu",) * len(devices)


@dataclass(frozen=True)
class Ticket:
    """A lease to be had, and what becomes of its taker."""

    number: int
    devices: int
    hold_s: float
    killed_holding: bool = False
    killed_after_s: float | None = None  # wherever it is then


def tickets(count: int, rng: random.Random) -> list[Ticket]:
    made = []
    for number in range(count):
        killed = number % 10 == 0
        made.append(
            Ticket(
                number,
                devices=2 if rng.random() < 1 / 8 else 1,
                hold_s=rng.uniform(0, HOLD_S),
                killed_holding=killed,
                killed_after_s=rng.uniform(0, HOLD_S) if not killed and number % 50 == 7 else None,
            )
        )
    return made


# --- a taker ---------------------------------------------------------------------------------------------------------


def take(leases: DeviceLeases, marks: Path, pipe: Connection) -> None:
    """Serve tickets until there are no more."""
    while (ticket := pipe.recv()) is not None:
        try:
            with leases.taken(ticket.devices, holder=f"lease {ticket.number}", wait_s=LONGEST_WAIT_S) as had:
                began, others = time.monotonic(), [mark for device in had if (mark := _mark(marks, device))]
                pipe.send(("holding", began, [device.index for device in had], others))
                time.sleep(3600 if ticket.killed_holding else ticket.hold_s)
                for device in had:
                    (marks / device.uuid).write_text("")
                ended = time.monotonic()
            pipe.send(("gave back", ended))
        except DevicesBusyError as error:
            pipe.send(("refused", str(error)))


def _mark(marks: Path, device: Device) -> str:
    """Leave this process's number on a device.  What is wrong with who left one there before: it lives."""
    place = marks / device.uuid
    before = place.read_text() if place.exists() else ""
    place.write_text(str(os.getpid()))
    return f"{device.title} is had by {before} and {os.getpid()}" if before and _lives(int(before)) else ""


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


# --- who hands out tickets -------------------------------------------------------------------------------------------


class Taker:
    """A process, and what it is at."""

    def __init__(self, leases: DeviceLeases, marks: Path):
        self.pipe, theirs = FORK.Pipe()
        self.process: BaseProcess = FORK.Process(target=take, args=(leases, marks, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.ticket: Ticket | None = None
        self.kill_at = float("inf")
        self.holding: tuple[float, list[int]] | None = None

    def give(self, ticket: Ticket | None) -> None:
        self.ticket, self.holding = ticket, None
        if ticket is not None and ticket.killed_after_s is not None:
            self.kill_at = time.monotonic() + ticket.killed_after_s
        self.pipe.send(ticket)

    def kill(self) -> None:
        os.kill(self.process.pid or 0, signal.SIGKILL)
        self.process.join()
        self.pipe.close()


def serve(folder: Path, *, count: int, processes: int, devices: int, seed: int) -> dict[str, Any]:
    """Have all tickets served.  Returns what was seen."""
    rng = random.Random(seed)
    marks = folder / "marks"
    marks.mkdir(parents=True)
    leases = DeviceLeases(folder / "leases", PretendedDevices(devices), PACE)
    waiting = deque(tickets(count, rng))
    began, takers = time.monotonic(), [Taker(leases, marks) for _ in range(processes)]
    had: list[tuple[float, float, int]] = []  # from when to when how many devices
    seen = {"served": 0, "killed holding": 0, "killed waiting": 0}
    shared: list[str] = []
    refused: list[str] = []

    def end(taker: Taker, at: float) -> None:
        assert taker.holding is not None
        had.append((taker.holding[0], at, len(taker.holding[1])))
        seen["served"] += 1

    def kill(place: int) -> None:
        taker = takers[place]
        at = time.monotonic()
        taker.kill()
        ticket = taker.ticket
        assert ticket is not None
        if taker.holding is not None:
            seen["killed holding"] += 1
            end(taker, at)
        else:
            seen["killed waiting"] += 1
            waiting.append(Ticket(ticket.number, ticket.devices, ticket.hold_s))
        takers[place] = Taker(leases, marks)

    def hear(place: int) -> None:
        taker = takers[place]
        kind, *values = taker.pipe.recv()
        if kind == "holding":
            taker.holding = values[0], values[1]
            shared.extend(values[2])
            if taker.ticket is not None and taker.ticket.killed_holding:
                taker.kill_at = time.monotonic() + rng.uniform(0, HOLD_S)
            return
        if kind == "gave back":
            end(taker, values[0])
        else:
            refused.append(values[0])
        taker.ticket, taker.kill_at = None, float("inf")

    while waiting or any(taker.ticket is not None for taker in takers):
        for taker in takers:
            if taker.ticket is None and waiting:
                taker.give(waiting.popleft())
        soonest = min(taker.kill_at for taker in takers)
        ready = wait([taker.pipe for taker in takers], max(0.0, min(0.1, soonest - time.monotonic())))
        for place, taker in enumerate(list(takers)):
            if taker.pipe in ready:
                hear(place)
            elif time.monotonic() >= taker.kill_at:
                kill(place)
    for taker in takers:
        taker.give(None)
        taker.process.join()
    lasted_s = time.monotonic() - began
    with leases.taken(devices, holder="the last", wait_s=5.0) as last:
        left = len(last)
    return seen | {
        "shared": shared,
        "refused": refused,
        "left": left,
        "most at once": _most_at_once(had),
        "seconds": round(lasted_s, 2),
    }


def _most_at_once(had: Sequence[tuple[float, float, int]]) -> int:
    changes = sorted([(start, count) for start, _, count in had] + [(end, -count) for _, end, count in had])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def report(seen: dict[str, Any], *, count: int, devices: int) -> dict[str, Any]:
    """What was seen, and whether it is as promised."""
    return seen | {
        "bars": [
            at_least("leases served", seen["served"], count),
            at_most("devices had by two who live", len(seen["shared"]), 0),
            at_least("holders killed", seen["killed holding"], count // 10),
            at_most("leases refused", len(seen["refused"]), 0),
            at_least("devices that can be had at the end", seen["left"], devices),
            at_least("devices had at once", seen["most at once"], devices),
        ]
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leases", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="director-bench-") as folder:
        seen = serve(
            Path(folder),
            count=options.leases,
            processes=options.processes,
            devices=options.devices,
            seed=options.seed,
        )
    return print_report(report(seen, count=options.leases, devices=options.devices), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
