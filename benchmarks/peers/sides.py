"""Sides: ours and diffusers', each trained as a process.

Belongs here: what surrounds their processes, and calling either side.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.peers import commands
from benchmarks.peers.measured import Measured, measure
from benchmarks.peers.task import Task

ROOT = Path(__file__).resolve().parent.parent.parent
Side = Literal["ours", "theirs"]
SIDES: tuple[Side, ...] = ("ours", "theirs")


def surroundings(settings: Mapping[str, str]) -> dict[str, str]:
    """Of every process: this checkout's code, no network, and `settings`."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": path, **settings}


@dataclass(frozen=True)
class Sides:
    """Both sides, as a caller of the benchmark has them."""

    diffusers: Path  # a checkout
    peer_python: str  # the interpreter of their script
    environment: Mapping[str, str]

    def train(self, side: Side, task: Task, out: Path, *, seed: int, flags: Sequence[str] = ()) -> Measured:
        """One training, with `flags` for the interpreter."""
        path = task.write()
        if side == "ours":
            command = commands.ours(path, out, seed, flags)
        else:
            command = commands.theirs(task, out, seed, diffusers=self.diffusers, python=self.peer_python, flags=flags)
        return measure(command, out, self.environment)

    def help(self, module: str, *arguments: object) -> str:
        """Run a process that is not measured; what it prints."""
        return subprocess.run(
            commands.helper(module, *arguments),
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def judge(self, task: Task, work: Path, adapters: Sequence[Path]) -> list[float]:
        """Held-out losses: of the bare base, then of each adapter."""
        return list(json.loads(self.help("judge", task.write(), work, *adapters).splitlines()[-1]))
