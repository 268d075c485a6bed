"""Small disks: real ones (tmpfs), full and made read-only at random moments.

A run's store, temporary files and Dagster's records all lie on one disk, as on a small machine; or its store alone.
The disk has a random part of the space that an undisturbed run fills, and more in each run after that; or it is mounted
read-only in the middle of a stage (where all lies on it, by turns before the run: while a file is open for writing it
cannot be), and writable again after the run.  Only root can mount: for others there is nothing to measure.
"""

import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.bars import at_least, at_most
from benchmarks.faulting.disks import bars_of_last, said, says
from benchmarks.faulting.kills import begun
from benchmarks.faulting.moments import START
from benchmarks.faulting.worlds import LONGEST_S, Asked, Undisturbed, ended, half_written, new_world, run, say
from tests.tiny_project import Outcome, TinyProject

PLENTY = 512 << 20
PATIENCE_S = 5.0  # for a moment at which no file is open for writing


class Disk:
    """A tmpfs at a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __enter__(self) -> "Disk":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mount("-t", "tmpfs", "-o", f"size={PLENTY}", "tmpfs")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def leave(self, size: int) -> None:
        """Have so many bytes free."""
        self._remount(f"size={shutil.disk_usage(self.folder).used + size}")

    def give_plenty(self) -> None:
        self._remount(f"size={PLENTY}")

    def make_read_only(self) -> bool:
        """Whether that could be done: not while a file is open for writing."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                self._remount("ro")
            except subprocess.CalledProcessError:
                time.sleep(0.005)
            else:
                return True
        return False

    def make_writable(self) -> None:
        self._remount("rw")

    def _remount(self, option: str) -> None:
        self._mount("-o", f"remount,{option}")

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, self.folder], check=True, capture_output=True)


def measure(folder: Path, asked: Asked) -> dict[str, Any]:
    """See the module's words."""
    try:
        with Disk(folder / "probe"):
            pass
    except subprocess.CalledProcessError as error:
        return {"skipped": f"cannot mount a disk here: {error.stderr.decode().strip()}", "bars": []}
    undisturbed = Undisturbed.make(folder / "undisturbed")
    rng, runs, lasts = random.Random(asked.seed), list[dict[str, Any]](), list[dict[str, Any]]()
    for whole in (False, True):
        with Disk(folder / "disk") as disk:  # an empty one
            world = _world_on(disk, folder / "world", whole=whole)
            for _ in range(asked.disks):
                runs.append(_full(disk, world, undisturbed, rng) | {"whole": whole})
                say(f"{runs[-1]}")
            for number in range(asked.disks):
                stage = START if whole and number % 2 == 0 else rng.choice(list(undisturbed.told.seconds))
                runs.append(_read_only(disk, world, undisturbed, stage, rng) | {"whole": whole})
                say(f"{runs[-1]}")
            lasts.append(ended(world, undisturbed))
            say(f"{lasts[-1]}")
    failed = [run for run in runs if run["exit_code"]]
    return {
        "runs": len(runs),
        "failed": len(failed),
        "unclear": [run for run in failed if not run["clear"]],
        "lasts": lasts,
        "bars": [
            at_least("runs whose disk failed", len(failed), round(0.6 * len(runs))),
            at_least("runs that name the disk and the way out", sum(run["clear"] for run in failed), len(failed)),
            at_most("things half-written that a reader could see", sum(len(run["half_written"]) for run in runs), 0),
            *bars_of_last(lasts),
        ],
    }


def _world_on(disk: Disk, folder: Path, *, whole: bool) -> TinyProject:
    """A world of which the store, or all that a run writes, lies on the disk."""
    world = new_world(folder)
    for name in ("store", "dagster_home", "tmp") if whole else ("store",):
        (disk.folder / name).mkdir()
        (world.folder / name).symlink_to(disk.folder / name)
    return world


def _full(disk: Disk, world: TinyProject, undisturbed: Undisturbed, rng: random.Random) -> dict[str, Any]:
    left = rng.randrange(_size(undisturbed.project.folder / "store") // 4)
    disk.leave(left)
    outcome = run(world)
    disk.give_plenty()
    return _told("full", outcome, world, undisturbed) | {"left": left}


def _read_only(
    disk: Disk, world: TinyProject, undisturbed: Undisturbed, stage: str, rng: random.Random
) -> dict[str, Any]:
    moment = rng.uniform(0, undisturbed.told.seconds[stage])
    if stage == START:
        done, outcome = disk.make_read_only(), run(world)
    else:
        with begun(world, stage) as child:
            time.sleep(moment)
            done = disk.make_read_only()
        outcome = child.end(LONGEST_S)
    if done:
        disk.make_writable()
    return _told("read-only", outcome, world, undisturbed) | {"stage": stage, "moment": moment, "done": done}


def _told(what: str, outcome: Outcome, world: TinyProject, undisturbed: Undisturbed) -> dict[str, Any]:
    return {
        "disk": what,
        "exit_code": outcome.code,
        "clear": outcome.code == 0 or says(outcome, what),
        "said": said(outcome),
        "half_written": half_written(world, undisturbed),
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
