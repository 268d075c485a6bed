"""Moments: in a process that runs the graph, when each stage begins and what it writes; and a fault just then.

Belongs here: what is called inside a child before its command (`first` of `TinyProject.start`).  Python's audit hooks
tell of every file that Python opens, renames, makes or deletes, before it does; what libraries in C write by themselves
(SQLite, Parquet) they do not see: real small disks are for those.
"""

import errno
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faulting.journal import keep_journal

START, PLACEHOLDERS = "start", "placeholder stills"  # what is done before the first stage
ENVIRONMENT = "environment.json"  # of a world: further variables
MAKING = {"open", "os.mkdir", "os.rename", "os.link"}
REMOVING = {"os.remove", "os.rmdir", "shutil.rmtree"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = (  # parts of names that are others in another run
    (re.compile(r"(director-[a-z-]+-)[a-z0-9_]{8}\b"), r"\1*"),
    (re.compile(r"[0-9a-f]{8,}"), "*"),
    (re.compile(r"[0-9]+"), "*"),
)


@dataclass(frozen=True)
class Write:
    """Something that a stage is about to do to a disk."""

    stage: str
    kind: str  # the audit event
    name: str  # relative to the world's folder

    @property
    def shape(self) -> tuple[str, str]:
        """Equal for writes of the same sort, of this run or another."""
        name = self.name
        for pattern, instead in _CHANGING:
            name = pattern.sub(instead, name)
        return self.kind, name

    @property
    def disk(self) -> str:
        """`store` or `tmp`, which stand for disks of their own."""
        return self.name.split("/")[0]


@dataclass(frozen=True)
class Recorded:
    """What an undisturbed run did."""

    seconds: dict[str, float]  # by stage, in the order in which they began, to the next one's beginning
    spells: dict[str, float]  # to its own end: what Dagster does afterwards is not of it
    writes: list[Write]


def enter(world: Path) -> None:
    """Have temporary files below the world's folder, and its own environment; keep a journal of the stages."""
    (world / "tmp").mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(world / "tmp")
    tempfile.tempdir = None
    if (own := world / ENVIRONMENT).exists():
        os.environ.update(json.loads(own.read_text()))
    _on_turns(keep_journal(world))


def on_stages(begun: Callable[[str], None]) -> None:
    """Have `begun` called with the name of each stage as it begins, of what comes before the stages too.

    The journal says so before.
    """

    def turn(what: str, stage: str, run: str) -> None:
        if what == "begins":
            begun(stage)

    _on_turns(turn)


def _on_turns(turn: Callable[[str, str, str], None]) -> None:
    """Have `turn` called with "begins" or "ends", stage and run; who asked first is told first."""
    if not _TOLD:
        _tell_of_stages()
    _TOLD.append(turn)
    turn("begins", START, "")


_TOLD: list[Callable[[str, str, str], None]] = []  # of this process


def _tell_of_stages() -> None:
    import pipelines.cli.run as command
    import resources.stage as stages

    tag, make, prepare = stages.tag_run_with_process, stages.Maker.make, command.prepare_store

    def tell(*turn: str) -> None:
        for told in _TOLD:
            told(*turn)

    def tag_and_tell(context: Any) -> None:
        tell("begins", context.asset_key.to_user_string(), context.run_id)
        tag(context)

    def make_and_tell(maker: Any, *given: Any) -> Any:
        try:
            return make(maker, *given)
        finally:
            tell("ends", "/".join(maker.asset), maker.context.run_id)

    def prepare_and_tell(*given: Any) -> int:
        tell("begins", PLACEHOLDERS, "")
        try:
            return prepare(*given)
        finally:
            tell("ends", PLACEHOLDERS, "")

    stages.tag_run_with_process = tag_and_tell
    stages.Maker.make = make_and_tell  # type: ignore[method-assign]
    command.prepare_store = prepare_and_tell


def on_writes(world: Path, about_to: Callable[[str, str], None]) -> None:
    """Have `about_to` called with kind and name before each write below the world's store and temporary files."""
    root = f"{world}/"
    disks = (f"{world}/store/", f"{world}/tmp/")

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event not in MAKING and event not in REMOVING:
            return
        if event == "open" and not (isinstance(given[2], int) and given[2] & _WRITING):
            return
        place = given[1] if event in ("os.rename", "os.link") else given[0]
        if not isinstance(place, (str, bytes, os.PathLike)):
            return
        path = os.fsdecode(place)
        if path.startswith(disks) and not (event == "os.mkdir" and _is_in_vain(path)):
            about_to(event, path.removeprefix(root))

    sys.addaudithook(hook)


def _is_in_vain(folder: str) -> bool:
    """Whether making it only tells that it is there, or that the one above is not."""
    return Path(folder).is_dir() or not Path(folder).parent.is_dir()


# --- what is done then -----------------------------------------------------------------------------------------------


def record(world: Path, notes: Path) -> None:
    """Note stages and writes in the file `notes`."""
    import time

    enter(world)
    file = notes.open("w", buffering=1)

    def note(*values: object) -> None:
        file.write(json.dumps([time.monotonic(), *values]) + "\n")

    on_writes(world, lambda kind, name: note("write", kind, name))
    _on_turns(lambda what, stage, _: note(what, stage))


def recorded(notes: Path) -> Recorded:
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    writes: list[Write] = []
    stage, at = START, 0.0
    for line in notes.read_text().splitlines():
        at, what, *values = json.loads(line)
        if what == "begins":
            stage = values[0]
            began.setdefault(stage, at)
        elif what == "ends":
            ended.setdefault(values[0], at)
        else:
            writes.append(Write(stage, *values))
    ends = dict(zip(began, [*list(began.values())[1:], at], strict=True))
    seconds = {name: ends[name] - began[name] for name in began}
    return Recorded(seconds, {name: ended.get(name, ends[name]) - began[name] for name in began}, writes)


def tell_when_begun(world: Path, stage: str, pipe: Path) -> None:
    """Write a byte into the named pipe when a stage begins."""
    enter(world)

    def begun(name: str) -> None:
        if name == stage:
            descriptor = os.open(pipe, os.O_WRONLY)
            os.write(descriptor, b".")
            os.close(descriptor)

    on_stages(begun)


def die_before_write(world: Path, stage: str, number: int) -> None:
    """SIGKILL before the write of that number since a stage began."""
    enter(world)
    left: list[int] = []

    def begun(name: str) -> None:
        if name == stage and not left:
            left.append(number)

    def about_to(kind: str, name: str) -> None:
        if left:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    on_writes(world, about_to)
    on_stages(begun)


def fail_from_write(world: Path, shapes: Sequence[tuple[str, str]], code: int, reached: Path) -> None:
    """From the first write of one of those shapes on, its whole disk is full (ENOSPC) or read-only (EROFS).

    Which one that was, is written to the file `reached`.
    """
    enter(world)
    wanted, broken = {shape: place for place, shape in enumerate(shapes)}, list[str]()

    def about_to(kind: str, name: str) -> None:
        write = Write("", kind, name)
        refused = code == errno.EROFS or _needs_space(write, world)
        if not broken and refused and write.shape in wanted:
            broken.append(write.disk)
            reached.write_text(str(wanted[write.shape]))
        if refused and write.disk in broken:
            raise OSError(code, os.strerror(code), str(world / name))

    on_writes(world, about_to)


def _needs_space(write: Write, world: Path) -> bool:
    """On a full disk, locks that are there can still be taken."""
    return write.kind in MAKING and not (write.name.endswith(".lock") and (world / write.name).exists())
