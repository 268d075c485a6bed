"""A device, and what leases ask of a machine that has some."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

GIB = 2**30


@dataclass(frozen=True)
class Device:
    """An accelerator as it is at this moment."""

    index: int  # as the driver counts, which other programs may do otherwise
    uuid: str
    name: str
    total_bytes: int
    free_bytes: int  # what other programs hold is not; what this process keeps for itself is
    fault: str = ""  # what the driver has against it, or ""

    @property
    def title(self) -> str:
        return f"GPU {self.index}"


class Devices(Protocol):
    """The accelerators of a machine."""

    def table(self) -> Sequence[Device]:
        """All that this process may use, and those at fault.  Raises DeviceError where they cannot be asked."""

    def fault_of(self, device: Device) -> str:
        """Have it do a small piece of work.  What is wrong with it, or ""."""

    def in_use(self, devices: Sequence[Device]) -> AbstractContextManager[Sequence[str]]:
        """Names by which torch knows them in this process; what it keeps of them is given back at the end."""
