"""Databases: Postgres, which holds Dagster's records, is restarted in the middle of a run.

Each time, an empty world with records in an empty database: while a stage is at work, the server is stopped ("fast",
and "immediate", as a crash would) and started again some seconds later.  The run ends well, or in an error and is run
again; then what was made must be what an undisturbed run makes, and no run be called started.
"""

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks.bars import at_least, at_most
from benchmarks.faulting.disks import bars_of_last, said
from benchmarks.faulting.kills import begun
from benchmarks.faulting.worlds import LONGEST_S, Asked, Undisturbed, ended, half_written, new_world, say
from tests.postgres_server import PostgresServer, running_postgres
from tests.tiny_project import TinyProject

STAGES = ("captions", "mini_lora/adapter", "mini_lora/samples", "mini_lora/evaluation")
MODES = ("fast", "immediate")
AWAY_S = (0.0, 3.0)
WORDS = ("Dagster's records", "run again")
VARIABLE = "DIRECTOR_DAGSTER_POSTGRES_URL"


def measure(folder: Path, asked: Asked) -> dict[str, Any]:
    """See the module's words."""
    undisturbed = Undisturbed.make(folder / "undisturbed")
    runs, lasts = list[dict[str, Any]](), list[dict[str, Any]]()
    try:
        with running_postgres() as server:
            for number, stage in enumerate(STAGES):
                world = _new_world(folder / "world", server, f"run{number}")
                mode, away_s = MODES[number % 2], AWAY_S[number // 2]
                with begun(world, stage) as child:
                    time.sleep(undisturbed.told.seconds[stage] / 2)
                    server.stop(mode)
                    time.sleep(away_s)
                    server.start()
                outcome = child.end(LONGEST_S)
                wrong = half_written(world, undisturbed)
                told = {"stage": stage, "mode": mode, "away_s": away_s, "half_written": wrong}
                runs.append({**told, "exit_code": outcome.code, "said": said(outcome)})
                lasts.append(ended(world, undisturbed))
                say(f"{runs[-1]}\n{lasts[-1]}")
    except pytest.skip.Exception as skipped:
        return {"skipped": str(skipped), "bars": []}
    return {
        "runs": runs,
        "lasts": lasts,
        "went_on_by_themselves": sum(run["exit_code"] == 0 for run in runs),
        "bars": [
            at_least("restarts", len(runs), len(STAGES)),
            at_least(
                "failed runs that name the records and the way out",
                sum(all(words in " ".join(run["said"]) for words in WORDS) for run in runs if run["exit_code"]),
                sum(run["exit_code"] != 0 for run in runs),
            ),
            at_most("things half-written that a reader could see", sum(len(run["half_written"]) for run in runs), 0),
            *bars_of_last(lasts),
        ],
    }


def _new_world(folder: Path, server: PostgresServer, name: str) -> TinyProject:
    """A world whose records go to a new database."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # one of ours
    url = f"postgresql+psycopg2://postgres@/{name}?host={server.folder}"
    return new_world(folder, {VARIABLE: url}, dagster="postgres")
