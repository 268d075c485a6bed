"""Pretended devices: a table that a test, or several processes' tests, may change, where the driver's would be."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director_diffusion.devices import Device
from director_diffusion.devices.device import GIB


@dataclass(frozen=True)
class Pretended:
    """`devices.Devices` of a file: by UUID, GiB that other programs hold, a fault, and what a try would find."""

    path: Path
    total_gib: float = 80.0

    @classmethod
    def make(cls, folder: Path, count: int = 4) -> "Pretended":
        made = cls(folder / "devices.json")
        made.write({f"GPU-{number}": {} for number in range(count)})
        return made

    def write(self, devices: Mapping[str, Mapping[str, Any]]) -> None:
        self.path.write_text(json.dumps(devices))

    def change(self, uuid: str, **values: Any) -> None:
        self.write(self._read() | {uuid: values})

    def table(self) -> list[Device]:
        return [
            Device(
                index,
                uuid,
                "pretended",
                int(self.total_gib * GIB),
                int((self.total_gib - known.get("held", 0.0)) * GIB),
                known.get("fault", ""),
            )
            for index, (uuid, known) in enumerate(self._read().items())
        ]

    def fault_of(self, device: Device) -> str:
        """Tries are counted in a file beside."""
        with self.path.with_suffix(".tries").open("a") as tries:
            tries.write(f"{device.uuid}\n")
        return str(self._read()[device.uuid].get("broken", ""))

    @property
    def tries(self) -> list[str]:
        path = self.path.with_suffix(".tries")
        return path.read_text().split() if path.exists() else []

    @contextmanager
    def in_use(self, devices: Sequence[Device]) -> Iterator[tuple[str, ...]]:
        yield ("cpu",) * len(devices)

    def _read(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = json.loads(self.path.read_text())
        return found
