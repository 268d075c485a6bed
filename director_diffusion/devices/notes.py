"""Notes beside a device's lock: who holds it, and how it did when it was looked at last.

They are only words: who holds a device is what its lock says, and a note that cannot be read is none.
"""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """Who took a device, and when."""

    name: str
    pid: int
    since: float

    @property
    def words(self) -> str:
        return f"{self.name} (process {self.pid})"

    @classmethod
    def here(cls, name: str) -> "Holder":
        return cls(name, os.getpid(), time.time())


@dataclass(frozen=True)
class Health:
    """What a look at a device found."""

    looked: float
    fault: str

    @property
    def age_s(self) -> float:
        return time.time() - self.looked


def write_note(path: Path, note: Holder | Health) -> None:
    """Leave a note over the one before it; whoever reads meanwhile may find none."""
    path.write_text(json.dumps(asdict(note)), encoding="utf-8")


def read_holder(path: Path) -> Holder | None:
    """Who has a device, by its note; None where there is none yet, or a torn one."""
    found = _read(path)
    return None if found is None else Holder(str(found["name"]), int(found["pid"]), float(found["since"]))


def read_health(path: Path) -> Health | None:
    """What the last look at a device found; None where nobody looked yet, or the note is torn."""
    found = _read(path)
    return None if found is None else Health(float(found["looked"]), str(found["fault"]))


def _read(path: Path) -> dict[str, str] | None:
    """None also where it is being written, or was cut off when its writer died."""
    try:
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found
