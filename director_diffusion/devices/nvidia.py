"""NVIDIA's devices, as `nvidia-smi` tells of them: memory of all programs, and faults, without a context on any."""

import csv
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from director_diffusion.devices import probe
from director_diffusion.devices.device import Device
from director_diffusion.devices.in_torch import kept_in_torch, places_in_torch, used_in_torch
from director_diffusion.errors import DeviceError

FIELDS = ("index", "uuid", "name", "memory.total", "memory.free", "ecc.errors.uncorrected.volatile.total")
MIB = 2**20
PATIENCE_S = 60.0  # without persistence mode, the driver is loaded anew for every question
BUSES = Path("/proc/driver/nvidia/gpus")  # a folder for each device, lost ones among them
NONE = {"0", "[N/A]", "[Not Supported]", "N/A"}


class NvidiaDevices:
    """`devices.Devices` of this machine, as far as torch may use them in this process."""

    def __init__(self, program: str = "nvidia-smi", buses: Path = BUSES):
        self._program, self._buses = program, buses

    def table(self) -> list[Device]:
        """See `devices.Devices`.  Left out is what torch names by another UUID, as a device cut into MIG slices."""
        places = places_in_torch()
        found = []
        for device in self._told():
            if device.fault:
                found.append(device)
            elif device.uuid in places:
                free = min(device.total_bytes, device.free_bytes + kept_in_torch(places[device.uuid]))
                found.append(Device(device.index, device.uuid, device.name, device.total_bytes, free))
        return found

    def fault_of(self, device: Device) -> str:
        """See `devices.Devices`."""
        try:
            looked = subprocess.run(
                [sys.executable, "-I", probe.__file__, device.uuid], capture_output=True, text=True, timeout=PATIENCE_S
            )
        except subprocess.TimeoutExpired:
            return f"it did not answer in {PATIENCE_S:g} seconds"
        if looked.returncode:
            return f"a process that tried it ended with code {looked.returncode}: {_last_line(looked.stderr)}"
        return looked.stdout.strip()

    def in_use(self, devices: Sequence[Device]) -> AbstractContextManager[tuple[str, ...]]:
        """See `devices.Devices`."""
        return used_in_torch(devices)

    def _told(self) -> list[Device]:
        asked = self._ask()
        if not asked.returncode:
            return list(_rows(asked.stdout))
        # One that is lost can spoil the question about all: each is asked about alone.
        found: list[Device] = []
        for number, bus in enumerate(sorted(path.name for path in self._buses.glob("*"))):
            alone = self._ask(f"--id={bus}")
            lost = Device(number, bus, "", 0, 0, fault=f"nvidia-smi says: {_last_line(alone.stdout + alone.stderr)}")
            found += [lost] if alone.returncode else _rows(alone.stdout)
        if not found:
            raise DeviceError(
                "nvidia-smi", f"fails: {_last_line(asked.stdout + asked.stderr)}", "Mend the GPU's driver."
            )
        return found

    def _ask(self, *further: str) -> subprocess.CompletedProcess[str]:
        command = [self._program, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits", *further]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        except FileNotFoundError as error:
            raise DeviceError(
                self._program, "is not installed", "Install NVIDIA's driver, or choose the deployment `local`."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                self._program, f"did not answer in {PATIENCE_S:g} seconds", "A GPU may hang: restart the machine."
            ) from error


def _rows(told: str) -> Iterator[Device]:
    for row in csv.reader(told.splitlines(), skipinitialspace=True):
        if len(row) == len(FIELDS):
            yield _device(dict(zip(FIELDS, (cell.strip() for cell in row), strict=True)))


def _device(row: Mapping[str, str]) -> Device:
    """A device whose memory cannot be told, or that has lost data since the driver was loaded, is at fault."""
    total, free, lost = row["memory.total"], row["memory.free"], row["ecc.errors.uncorrected.volatile.total"]
    fault = ""
    if not (total.isdigit() and free.isdigit()):
        fault, total, free = f"nvidia-smi tells no memory of it, but {free}", "0", "0"
    elif lost not in NONE:
        fault = f"memory errors that could not be corrected: {lost}; it wants a reset"
    index = int(row["index"]) if row["index"].isdigit() else -1
    return Device(index, row["uuid"], row["name"], int(total) * MIB, int(free) * MIB, fault)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["nothing"])[-1]
