"""Measured: one training as a process, seen from outside.

Belongs here: times, processor time and memory of a child.  Both sides are measured by the same means, and neither
knows of it.
"""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.task import WEIGHTS

_STEPS = re.compile(rb"Steps:[^\r\n]*?(\d+)/\d+ \[")
_IMPORT = re.compile(rb"import time:\s+(\d+) \|\s+\d+ \|")
_TAIL = 400  # bytes in which a message may have begun
_SAID = 4000  # characters that are shown of a process that failed


@dataclass(frozen=True)
class Measured:
    """One training."""

    adapter_s: float  # from the process's start to its adapter's file being written
    exit_s: float
    first_step_s: float  # from the start to the first step being done
    step_s: float  # each of the later two thirds of its steps; not the last, which saving follows
    cpu_s: float  # of all its threads, to the exit
    peak_mib: float
    import_s: float  # 0 unless the interpreter was asked for import times


def measure(command: Sequence[str], out: Path, environment: Mapping[str, str]) -> Measured:
    """Run a training that writes its adapter to `out`.  Exits, with what it said last, where it fails."""
    out.mkdir(parents=True)
    done: dict[int, float] = {}
    began, started = time.time(), time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    said = bytearray()
    while chunk := os.read(process.stdout.fileno(), 1 << 16):
        now = time.perf_counter() - started
        unread = max(len(said) - _TAIL, 0)
        said += chunk
        for found in _STEPS.finditer(said, unread):
            done.setdefault(int(found[1]), now)
    _, status, usage = os.wait4(process.pid, 0)  # what a child used is told to whoever waits for it
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    (out / "said.log").write_bytes(said)
    adapter = out / WEIGHTS
    if process.returncode or not adapter.is_file():
        sys.exit(f"{' '.join(command)}\nfailed with {process.returncode}:\n{said.decode(errors='replace')[-_SAID:]}")
    begin, end = max(done) // 3, max(done) - 1
    return Measured(
        adapter_s=adapter.stat().st_mtime - began,
        exit_s=seconds,
        first_step_s=done[1],
        step_s=(done[end] - done[begin]) / (end - begin),
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10),
        import_s=sum(int(microseconds) for microseconds in _IMPORT.findall(said)) / 1e6,
    )


def median(runs: Sequence[Measured], name: str) -> float:
    return float(statistics.median(getattr(run, name) for run in runs))
