"""Databases: Postgres, which holds Dagster's records, is restarted in the middle of a run.

Each time, an empty world with records in an empty database: while a stage is at work, the server is stopped ("fast",
and "immediate", as a crash would) and started again some seconds later.  That it was in the middle of the run, the
run's journal tells: it had begun a stage before, and was at one afterwards.  The run ends well, or in an error and is
run again; then what was made must be what an undisturbed run makes, and no run be called started.
"""

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks.bars import at_least, at_most
from benchmarks.faulting.disks import bars_of_last, said
from benchmarks.faulting.journal import at_work, is_within, spells, turned
from benchmarks.faulting.kills import begun
from benchmarks.faulting.worlds import LONGEST_S, Asked, Undisturbed, ended, half_written, new_world, say
from tests.postgres_server import PostgresServer, running_postgres
from tests.tiny_project import TinyProject

STAGES = ("captions", "mini_lora/adapter", "mini_lora/samples", "mini_lora/evaluation")
MODES = ("fast", "immediate")
AWAY_S = (0.0, 3.0)
LEAST_FELT = 2  # a stage may last longer than Postgres is away, and Dagster connects anew for each record
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
                    cut, stopped = _connections(server), time.monotonic()
                    server.stop(mode)
                    time.sleep(away_s)
                    server.start()
                    back = time.monotonic()
                outcome = child.end(LONGEST_S)
                of_run = spells(world.folder, child.process.pid)
                wrong = half_written(world, undisturbed)
                told = {
                    "stage": stage,
                    "mode": mode,
                    "away_s": round(back - stopped, 2),
                    "at_work": at_work(of_run, stopped),
                    "in_the_middle": is_within(of_run, stopped),
                    "connections_cut": cut,
                    "turned_meanwhile": turned(of_run, stopped, back),
                }
                runs.append({**told, "half_written": wrong, "exit_code": outcome.code, "said": said(outcome)})
                lasts.append(ended(world, undisturbed))
                say(f"{runs[-1]}\n{lasts[-1]}")
    except pytest.skip.Exception as skipped:
        return {"skipped": str(skipped), "bars": []}
    felt = sum(bool(run["connections_cut"] or run["turned_meanwhile"]) for run in runs if run["in_the_middle"])
    return {
        "runs": runs,
        "lasts": lasts,
        "felt": felt,
        "went_on_by_themselves": sum(run["exit_code"] == 0 for run in runs),
        "bars": [
            at_least("restarts in the middle of a run", sum(run["in_the_middle"] for run in runs), len(STAGES)),
            at_least("of these, with connections cut or records to write meanwhile", felt, LEAST_FELT),
            at_least(
                "failed runs that name the records and the way out",
                sum(all(words in " ".join(run["said"]) for words in WORDS) for run in runs if run["exit_code"]),
                sum(run["exit_code"] != 0 for run in runs),
            ),
            at_most("things half-written that a reader could see", sum(len(run["half_written"]) for run in runs), 0),
            *bars_of_last(lasts),
        ],
    }


def _connections(server: PostgresServer) -> int:
    """Of clients other than this one, which is the run."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _new_world(folder: Path, server: PostgresServer, name: str) -> TinyProject:
    """A world whose records go to a new database."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # one of ours
    url = f"postgresql+psycopg2://postgres@/{name}?host={server.folder}"
    return new_world(folder, {VARIABLE: url}, dagster="postgres")
