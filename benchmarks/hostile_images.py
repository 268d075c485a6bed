"""What becomes of a thousand hostile or odd image files: none may crash, hang or swell the stages that read stills.

    python -m benchmarks.hostile_images [--files 1000] [--seed 0] [--folder FOLDER] [--json]

Writes good files of every format, the same broken by one to three changes, files made to do harm, odd names, and links,
pipes, sockets and folders named like images into a temporary store, with as bad captions and masks beside them
(`benchmarks.hostile`); some 20 are of the most pixels or bytes that a still may have.  Dagster runs the stages
raw_stills, still_decisions, written_captions, director and stills over all of them, in a process of their own whose
peak of memory is told; then every file is listed and ingested by itself, which tells its time (the least of three where
it is over the bar, since the machine may be busy).  What takes `--patience` seconds there is a hang.  Exit code 1 where
a bar is missed.
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import yaml

from benchmarks.bars import at_least, at_most, print_report
from benchmarks.hostile.places import be_bound_by_modes, fill
from director_diffusion.plain_text import is_plain
from director_diffusion.progress import Silent
from director_diffusion.specs import StillsRules
from director_diffusion.stills.ingest import ingest_stills
from director_diffusion.stills.raw import list_raw_files
from director_diffusion.stills.rows import STILLS_FILE, WRITTEN_FILE, Still, WrittenCaption
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.storage.store import Store

DIRECTOR = "hostile"
STAGES = ("raw_stills", "still_decisions", "written_captions", "director", "stills")
MOST_SECONDS = 5.0  # of one file
TRIES = 3  # of a file that takes longer
MOST_MIB = 2048.0  # of the process that runs the stages
MOST_REASON = 1000  # characters
_PROCESSES = multiprocessing.get_context("spawn")


def measure(count: int, seed: int, folder: Path, patience: float, *, large: bool) -> dict[str, Any]:
    stills = folder / "store" / "stills" / DIRECTOR
    _configs(folder)
    files = _in_child(_fill, (stills, count, seed, large), patience=3600)[-1]
    *_, staged = _in_child(_run_stages, (folder,), patience=3600)
    rows = staged.get("rows", [])
    alone = _each_alone(folder, patience)
    slowest = sorted(alone, key=lambda one: -one["seconds"])[:5]
    return {
        "files": files,
        "seed": seed,
        "large": large,
        "cores": os.cpu_count(),
        "stages_seconds": staged.get("seconds"),
        "stages_cpu_seconds": staged.get("cpu_seconds"),
        "kept": sum(status == "kept" for _, status, _ in rows),
        "rejected": sum(status == "rejected" for _, status, _ in rows),
        "reasons": dict(Counter(" ".join(reason.split()[:3]) for *_, reason in rows if reason).most_common(12)),
        "unsaid": [ascii(row)[:300] for row in rows if _unsaid(row)],
        "failures": [*staged.get("failures", []), *(f"{one['name']}: {one['fault']}" for one in alone if one["fault"])],
        "slowest_seconds_and_cpu": {
            one["name"][:80]: [round(one["seconds"], 2), round(one["cpu_seconds"], 2)] for one in slowest
        },
        "captions_refused": staged.get("captions_refused"),
        "bars": [
            at_least("stages that end well", float(not staged.get("failures", ["none ran"])), 1),
            at_least("rows for each file", len(rows) / files, 1),
            at_most("rows without a plain reason", float(sum(map(_unsaid, rows))), 0),
            at_most("files that crash or hang alone", float(sum(bool(one["fault"]) for one in alone)), 0),
            at_most("slowest file, s", max(one["seconds"] for one in alone), MOST_SECONDS),
            at_most("peak memory of the stages, MiB", staged.get("peak_mib"), MOST_MIB),
            at_least("captions that no one can read, and are told", staged.get("captions_told"), 1),
        ],
    }


def _unsaid(row: tuple[str, str, str]) -> bool:
    _, status, reason = row
    return bool(reason) == (status == "kept") or len(reason) > MOST_REASON or not is_plain(reason, lines=False)


def _configs(folder: Path) -> None:
    """The demo's, of one director whose files may all be unusable."""
    from pipelines.surroundings import CHECKOUT

    shutil.copytree(CHECKOUT / "configs", folder / "configs")
    (folder / "models").symlink_to(CHECKOUT / "models")
    for path in (folder / "configs" / "directors").glob("*.yaml"):
        path.unlink()
    rules = {"min_distinct": 1, "max_rejected_share": 1}
    director = {"name": "Hostile", "trigger": "hostile style", "stills_licence": "made here", "stills": rules}
    (folder / "configs" / "directors" / f"{DIRECTOR}.yaml").write_text(yaml.safe_dump(director))
    project = folder / "configs" / "projects" / "demo.yaml"
    told = {**yaml.safe_load(project.read_text()), "directors": [DIRECTOR], "placeholder_stills": None}
    project.write_text(yaml.safe_dump(told))


def _in_child(work: Callable[..., None], arguments: tuple[Any, ...], patience: float) -> list[Any]:
    """What `work` sends from a process of its own, which is ended where nothing comes for so many seconds."""
    receiver, sender = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=work, args=(*arguments, sender))
    process.start()
    sender.close()
    found: list[Any] = []
    try:
        while receiver.poll(patience):
            found.append(receiver.recv())
    except EOFError:
        process.join(30)
    finally:
        if process.is_alive():
            process.kill()
        process.join()
    return found


def _fill(stills: Path, count: int, seed: int, large: bool, sender: Connection) -> None:
    sender.send(fill(stills, count, seed, large=large))


def _run_stages(folder: Path, sender: Connection) -> None:
    """In an own process: the stages, and what they took."""
    import dagster as dg

    from pipelines.build import build_definitions
    from pipelines.cli.in_process import run_job
    from pipelines.jobs import job_name
    from pipelines.surroundings import read_surroundings

    be_bound_by_modes()
    sender.send({})  # where nothing follows, it crashed
    environment = {"DIRECTOR_CONFIGS": str(folder / "configs"), "DIRECTOR_STORE": str(folder / "store")}
    definitions = build_definitions(read_surroundings(environment))
    started = time.perf_counter()
    with dg.DagsterInstance.ephemeral(tempdir=str(folder)) as instance:
        keys = [dg.AssetKey(name) for name in STAGES]
        result = run_job(definitions, instance, job_name("mini_lora"), keys, partition=DIRECTOR)
        failed = [event for event in result.all_events if event.is_step_failure]
    told: dict[str, Any] = {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time(), 1),
        "peak_mib": peak_mib(),
        "failures": [f"{event.step_key}: {_last_line(event)}" for event in failed],
    }
    if result.success:
        store = Store(str(folder / "store"))
        rows = latest_artifact(store, ("stills",), DIRECTOR).table(STILLS_FILE, Still)
        captions = latest_artifact(store, ("written_captions",), DIRECTOR).table(WRITTEN_FILE, WrittenCaption)
        refused = [caption for caption in captions if caption.problem]
        told["rows"] = [(f"{row.film}/{row.name}", row.status, row.reason) for row in rows]
        told["captions_refused"] = len(refused)
        told["captions_told"] = len(refused) / (len(captions) - 1)  # one of them is fine but for its name
    sender.send(told)


def _last_line(event: Any) -> str:
    error = event.step_failure_data.error
    while error.cause is not None:
        error = error.cause
    return str(error.message).strip()[:1000]


def _each_alone(folder: Path, patience: float) -> list[dict[str, Any]]:
    """Name, seconds and what went wrong of every file, ingested by itself."""
    names = list(_part(folder / "store" / "stills"))
    found: list[dict[str, Any]] = []
    while len(found) < len(names):
        begun = len(found)
        found += _in_child(_ingest_each, (folder, names[begun:], begun), patience)
        if len(found) < len(names):  # it went no further
            found.append({"name": names[len(found)], "seconds": patience, "cpu_seconds": 0.0, "fault": "crash or hang"})
    return found


def _part(stills: Path) -> Iterator[str]:
    """Give each file a director of its own.  Yields their names in order."""
    number = 0
    for film in sorted((stills / DIRECTOR).iterdir()):
        closed = not film.stat().st_mode & 0o700
        if closed:
            film.chmod(0o700)
        for path in [film] if closed else sorted(film.iterdir()):
            if path.name.lower().endswith((".txt", ".mask.png")):
                continue
            place = stills / f"alone_{number:05}"
            target = place / path.name if closed else place / film.name / path.name
            target.parent.mkdir(parents=True)
            path.rename(target)
            if closed:
                target.chmod(0)
            yield ascii(path.name)
            number += 1


def _ingest_each(folder: Path, names: list[str], first: int, sender: Connection) -> None:
    be_bound_by_modes()
    store = Store(str(folder / "store"))
    for number, name in enumerate(names, first):
        times, fault = [], ""
        while not times or (min(times)[0] > MOST_SECONDS and len(times) < TRIES):
            started, cpu = time.perf_counter(), time.process_time()
            try:
                raw = list_raw_files(store, f"alone_{number:05}")
                ingest_stills(store, raw, StillsRules(), folder / "out", Silent())
            except Exception as error:  # noqa: BLE001  # told: there is to be none
                fault = f"{type(error).__name__}: {error}"
            times.append((time.perf_counter() - started, time.process_time() - cpu))
        seconds, cpu_seconds = min(times)
        sender.send({"name": name, "seconds": seconds, "cpu_seconds": cpu_seconds, "fault": fault})


def peak_mib() -> float:
    """The most memory that this process has had resident so far; it starts no others."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn by chance (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=300, help="s that one file is waited for at most")
    parser.add_argument("--small", action="store_true", help="leave out the largest files")
    parser.add_argument("--folder", help="where to make them (default: the system's temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="director-hostile-", dir=options.folder))
    try:
        report = measure(options.files, options.seed, folder, options.patience, large=not options.small)
    finally:
        for closed in folder.glob("store/stills/*/closed film"):
            closed.chmod(0o700)
        shutil.rmtree(folder)
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
