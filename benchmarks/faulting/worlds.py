"""Worlds: small projects in folders of their own, undisturbed and disturbed.

Belongs here: making and running them, and what is wrong with one that was disturbed.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.faulting.moments import ENVIRONMENT, Recorded, enter, record, recorded
from director_diffusion.errors import DirectorError
from director_diffusion.hashing import hash_bytes, hash_data, hash_file
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import Manifest, latest_artifact
from director_diffusion.storage.files import TEMPORARY
from tests.small_configs import change
from tests.tiny_project import OF_ALL, OF_BASE, STAGES, Outcome, TinyProject

DIRECTOR, OTHER = "nolan", "fincher"
MADE = ((STAGES, DIRECTOR), (OF_BASE, None), (OF_ALL, None))
CARD, PUBLISHED, LEADERBOARD = "mini_lora/model_card", "mini_lora/published_model", "leaderboard"
ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
LONGEST_S = 900.0  # a run, on a machine that has other work

Made = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Asked:
    """What the driver's options say."""

    kills: int
    writes: int  # that fail, 0: all
    disks: int  # moments at which a real disk is full or read-only
    seed: int


def say(text: str) -> None:
    """How far it is, beside the report."""
    print(text, file=sys.stderr, flush=True)


def new_world(folder: Path, environment: Mapping[str, str] | None = None, **values: object) -> TinyProject:
    """A small project with nothing made yet, in the place of what was there.

    It is run with this `environment`, of which this process takes note too; `values` are its deployment's.
    """
    shutil.rmtree(folder, ignore_errors=True)
    project = TinyProject.make(folder, directors=(DIRECTOR, OTHER))
    if values:
        change(project.configs, "deployments/local", **values)
    os.environ.update(environment or {})
    (folder / ENVIRONMENT).write_text(json.dumps(environment or {}))
    return project


def run(project: TinyProject) -> Outcome:
    """A run that is left alone."""
    return project.start(DIRECTOR, first=partial(enter, project.folder)).end(LONGEST_S)


@dataclass(frozen=True)
class Undisturbed:
    """A project that was left alone."""

    project: TinyProject
    made: Made
    told: Recorded
    items: dict[str, str]  # hashes of the caches' items, by name

    @classmethod
    def make(cls, folder: Path) -> "Undisturbed":
        project = new_world(folder)
        notes = folder / "notes"
        outcome = project.start(DIRECTOR, first=partial(record, folder, notes)).end(LONGEST_S)
        if outcome.code:
            raise RuntimeError(f"the undisturbed run failed:\n{outcome.err}")
        return cls(project, made_in(project.store), recorded(notes), hashes(project))


def made_in(store: Store) -> Made:
    """Key and version of what readers see, by stage, as far as stages have been made.

    A card and the leaderboard tell how long things took: their versions are left out, and keys of what is made of them.
    """
    found = {}
    for stages, of in MADE:
        for stage in stages:
            if store.exists(f"assets/{stage}/{of or '_all'}/latest.json"):
                manifest = latest_artifact(store, tuple(stage.split("/")), of).manifest
                key, version = manifest.key, manifest.version
                timed = stage in (CARD, LEADERBOARD)
                found[stage] = ("" if stage in (PUBLISHED, LEADERBOARD) else key, "" if timed else version)
    return found


def differing(wanted: Mapping[str, object], found: Mapping[str, object]) -> list[str]:
    """Names that differ, or are missing on one side."""
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def hashes(project: TinyProject) -> dict[str, str]:
    """Of all items of the caches."""
    root = project.folder / "store" / "cache"
    paths = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith(TEMPORARY))
    return {path.relative_to(root).as_posix(): _content(path) for path in paths}


def _content(path: Path) -> str:
    """Hash of a file; of tensors, whatever the order in which their header tells of them."""
    if path.suffix != ".safetensors":
        return hash_file(path)
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    try:
        return hash_data({"header": json.loads(data[8:end]), "tensors": hash_bytes(data[end:])})
    except ValueError:
        return "damaged"


def half_written(project: TinyProject, undisturbed: Undisturbed) -> list[str]:
    """What readers would find that is not whole: versions, pointers to them, and items of the caches."""
    store, wrong = project.folder / "store", []
    for manifest in store.glob("assets/**/artifact.json"):
        try:
            told = Manifest.model_validate_json(manifest.read_text())
        except ValueError:
            wrong.append(f"{manifest}: is no manifest")
            continue
        for file in told.files:
            path = manifest.parent / file.name
            if not path.exists() or hash_file(path) != file.sha256:
                wrong.append(f"{path}: is not as its manifest says")
        wrong += [f"{manifest}: {name} is gone" for name in told.references if not (store / name).exists()]
    for pointer in store.glob("assets/**/latest.json"):
        parts = pointer.parent.relative_to(store / "assets").parts
        try:
            latest_artifact(project.store, parts[:-1], None if parts[-1] == "_all" else parts[-1])
        except (DirectorError, ValueError) as error:
            wrong.append(f"{pointer}: {error}")
    items = hashes(project)
    wrong += [
        f"cache/{name}: another content" for name, one in undisturbed.items.items() if items.get(name, one) != one
    ]
    return wrong


def unfinished_runs(project: TinyProject) -> int:
    """Runs that Dagster still takes for running, and places of pools that they hold."""
    with project.instance() as instance:
        runs = sum(run.status not in ENDED for run in instance.get_runs())
        return runs + instance.event_log_storage.get_concurrency_info("gpu").active_slot_count


def ended(project: TinyProject, undisturbed: Undisturbed, **more: Any) -> dict[str, Any]:
    """Let a last run end by itself, and say what is wrong with what there is then."""
    outcome = run(project)
    if outcome.code:
        say(outcome.err)
    return more | {
        "exit_code": outcome.code,
        "differing": differing(undisturbed.made, made_in(project.store)),
        "half_written": half_written(project, undisturbed),
        "unfinished_runs": unfinished_runs(project),
        "left_over": sum(1 for _ in (project.folder / "store").rglob(f"{TEMPORARY}*")),
    }


def as_rows(text: str) -> list[dict[str, Any]]:
    """What a run printed."""
    rows = json.loads(text)
    assert isinstance(rows, list)
    return rows
