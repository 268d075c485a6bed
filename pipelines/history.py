"""History: what Dagster's records tell of runs, and taking runs out of them.

Belongs here: runs whose events quote something that must not be kept, with their logs and with what Dagster keeps of
events elsewhere: the last materialization of each asset, and the outcomes of checks.

Dagster itself deletes a run's events; it leaves both of those, and SQLite leaves the bytes in the file's free pages.
"""

import json
import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from director_diffusion.errors import BusyError, StoreError
from director_diffusion.withdrawal.plan import Withdrawal
from director_diffusion.withdrawal.withdraw import Records

IN_PROGRESS = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
PARTITION = "dagster/partition"
AT_ONCE = 40  # words that one query looks for: SQLite bounds how deep an expression is
_BEFORE = (
    r"(?:(?<![\w.-])|(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{4})|(?<=%[0-9a-f]{2}))"  # what JSON or a URL escapes parts too
)
_AFTER = r"(?![\w-])"
WAIT_S = 30.0  # for others who read or write the records


def records_of(instance: dg.DagsterInstance) -> Records:
    """Dagster's records, for a withdrawal."""
    return Records(
        telling=lambda plan: list(_telling(instance, plan)),
        forget=lambda plan: _forget(instance, plan),
        going_on=lambda director: _going_on(instance, director),
    )


def _going_on(instance: dg.DagsterInstance, director: str) -> list[str]:
    runs = instance.get_runs(dg.RunsFilter(statuses=list(IN_PROGRESS)))
    return [f"run {run.run_id[:8]}" for run in runs if run.tags.get(PARTITION) in (None, director)]


def _telling(instance: dg.DagsterInstance, plan: Withdrawal) -> Iterator[str]:
    """Ids of runs whose events quote any of `needles`; of this director's, any of `names` too, and of nobody's any that
    tells the film."""
    storage = _storage(instance)
    for record in instance.get_run_records():
        run = record.dagster_run
        whose = run.tags.get(PARTITION)
        with_film = [name for name in plan.names if "/" in name]
        names = plan.names if whose == plan.director else with_film if whose is None else ()
        if _quotes(storage, run.run_id, plan.needles, names):
            if run.status in IN_PROGRESS:
                raise BusyError(
                    f"run {run.run_id[:8]}", "tells of it and is still going on", "Wait for its end, or terminate it."
                )
            yield run.run_id


def _quotes(storage: SqlEventLogStorage, run_id: str, needles: Sequence[str], names: Sequence[str]) -> bool:
    """A needle wherever it stands; a name by itself, as 1.jpg is not in 11.jpg."""
    table = SqlEventLogStorageTable
    with storage.run_connection(run_id) as connection:
        for some in _portions(needles):
            told = db.select(table.c.id).where(table.c.run_id == run_id, _any_of(table.c.event, some))
            if connection.execute(told.limit(1)).first() is not None:
                return True
        for some in _portions(names):
            by_itself = re.compile(f"{_BEFORE}(?:{'|'.join(re.escape(_in_json(one)) for one in some)}){_AFTER}", re.I)
            told = db.select(table.c.event).where(table.c.run_id == run_id, _any_of(table.c.event, some))
            if any(by_itself.search(event) for (event,) in connection.execute(told)):
                return True
    return False


def _forget(instance: dg.DagsterInstance, plan: Withdrawal) -> list[str]:
    """Returns what is left, in words.  May be called again after a kill: what is gone is gone."""
    storage = _storage(instance)
    for run_id in plan.runs:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
        if isinstance(storage, SqliteEventLogStorage):
            for path in Path(storage.path_for_shard(run_id)).parent.glob(f"{run_id}.db*"):
                path.unlink(missing_ok=True)
    _forget_checks(storage, plan)
    _forget_last(instance, storage, plan)
    return _compact(storage)


def _forget_checks(storage: SqlEventLogStorage, plan: Withdrawal) -> None:
    table = AssetCheckExecutionsTable
    with storage.index_connection() as connection:
        for some in _portions(plan.runs):
            connection.execute(table.delete().where(table.c.run_id.in_(some)))
        for some in _portions(plan.needles):
            connection.execute(table.delete().where(_any_of(table.c.evaluation_event, some)))


def _forget_last(instance: dg.DagsterInstance, storage: SqlEventLogStorage, plan: Withdrawal) -> None:
    """Put the newest that is left in the place of an asset's last materialization that tells of it."""
    table, runs = AssetKeyTable, set(plan.runs)
    with storage.index_connection() as connection:
        rows = connection.execute(db.select(table.c.asset_key, table.c.last_materialization, table.c.last_run_id)).all()
    words = [_in_json(needle) for needle in plan.needles]
    told = [
        key
        for key, last, run_id in rows
        if run_id in runs or (last is not None and (_run_of(last) in runs or any(word in last for word in words)))
    ]
    for key in told:
        asset = dg.AssetKey.from_db_string(key)
        left = instance.fetch_materializations(asset, limit=1).records if asset is not None else []
        values: dict[str, Any] = {"last_materialization": None, "last_run_id": None, "cached_status_data": None}
        if left:
            entry = left[0].event_log_entry
            values |= {"last_materialization": dg.serialize_value(entry), "last_run_id": entry.run_id}
        elif asset is not None:
            instance.wipe_assets([asset])  # nothing of it is left: an asset that was never made
        with storage.index_connection() as connection:
            connection.execute(table.update().where(table.c.asset_key == key).values(**values))


def _run_of(event: str) -> str:
    with suppress(ValueError):
        return str(json.loads(event).get("run_id", ""))
    return ""


def _compact(storage: SqlEventLogStorage) -> list[str]:
    """Overwrite what was deleted."""
    if not isinstance(storage, SqliteEventLogStorage):
        return [
            "Postgres keeps what was deleted until it is vacuumed: VACUUM FULL event_logs, asset_keys, "
            "asset_check_executions."
        ]
    path = storage.path_for_shard("index")
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        raise StoreError(
            path,
            f"could not be compacted ({error}), and holds bytes of what was deleted",
            "Stop Dagster, run it again.",
        ) from error
    return []


def _any_of(column: Any, words: Sequence[str]) -> Any:
    """Whether a record, which is JSON, quotes any of these."""
    return db.or_(*(column.contains(_in_json(word), autoescape=True) for word in words))


def _in_json(word: str) -> str:
    return json.dumps(word)[1:-1]


def _portions(words: Collection[str]) -> Iterator[list[str]]:
    known = list(words)
    return (known[start : start + AT_ONCE] for start in range(0, len(known), AT_ONCE))


def _storage(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise StoreError(
            type(storage).__name__,
            "are records of Dagster's that no still can be taken out of",
            "Use SQLite or Postgres.",
        )
    return storage
