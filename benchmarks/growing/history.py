"""History: a Dagster home in which everything has been materialized once.

Belongs here: making it quickly.  Events of one director are reported to Dagster as any are; those of the others are
copies of their rows, since a hundred thousand reports would take longer than all that is measured.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

TAG_COLUMNS = "event_id, asset_key, key, value, event_timestamp"


def fill_history(
    definitions: dg.Definitions, instance: dg.DagsterInstance, home: Path, directors: Sequence[str]
) -> int:
    """Materializations of every asset, of every director where it has partitions.  Returns how many."""
    graph = definitions.resolve_asset_graph()
    first, *others = directors
    partitioned = [key for key in graph.materializable_asset_keys if graph.get(key).is_partitioned]
    for key in graph.materializable_asset_keys:
        partition = first if key in partitioned else None
        tags = {"dagster/data_version": "v1"}
        instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition, tags=tags))
    with sqlite3.connect(home / "history" / "runs" / "index.db") as index:
        _copy(index, first, others)
    index.close()
    told = instance.get_materialized_partitions(partitioned[0])
    if told != set(directors):
        raise RuntimeError(f"Dagster sees {len(told)} of {len(directors)} directors: its tables have changed")
    return len(graph.materializable_asset_keys) + len(partitioned) * len(others)


def _copy(index: sqlite3.Connection, first: str, others: Sequence[str]) -> None:
    """Copy a director's rows of the event log, with their tags, for others."""
    columns = [row[1] for row in index.execute("PRAGMA table_info(event_logs)") if row[1] != "id"]
    names = ", ".join(columns)
    rows = index.execute(f"SELECT id, {names} FROM event_logs WHERE partition = ?", (first,)).fetchall()
    tags = {row[0]: [] for row in rows}
    for row in index.execute(f"SELECT {TAG_COLUMNS} FROM asset_event_tags"):
        if row[0] in tags:
            tags[row[0]].append(row[1:])
    marks = ", ".join("?" * len(columns))
    for other in others:
        for event, *values in rows:
            changed = [value.replace(first, other) if isinstance(value, str) else value for value in values]
            made = index.execute(f"INSERT INTO event_logs ({names}) VALUES ({marks})", changed).lastrowid
            index.executemany(
                f"INSERT INTO asset_event_tags ({TAG_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
                [(made, key, name, value.replace(first, other), when) for key, name, value, when in tags[event]],
            )
