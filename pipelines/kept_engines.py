"""What SQLAlchemy and alembic know of Dagster's SQLite files, kept from one look into them to the next.

Belongs here: what makes Dagster's own storage of records cheaper and changes nothing that it does.  For each look it
makes an engine, by which every statement is compiled anew, and whenever it opens a file it reads all of its migrations:
a third of the processor's time of a run in which all is there.  Connections are opened and closed as ever.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any

import sqlalchemy as db
from alembic.script import ScriptDirectory
from dagster._core.storage import sql
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

MOST = 64  # engines: a process that lives long sees a file for each run


@cache
def keep_engines() -> None:
    """From here on, in this process."""
    for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        vars(module)["create_engine"] = kept_engine
    # Dagster keeps a configuration for each kind of record.  Only what it asks is answered so, and no other's alembic.
    vars(sql)["ScriptDirectory"] = SimpleNamespace(from_config=lru_cache(maxsize=8)(ScriptDirectory.from_config))


def kept_engine(
    url: str, *, poolclass: type[db.Pool] | None = None, connect_args: Mapping[str, Any] | None = None, **how: Any
) -> db.Engine:
    """The engine of a file, the same one each time: with a null pool it has no connection between two looks.  One that
    is asked for otherwise is made as ever."""
    if poolclass is not db.NullPool or how:
        pool = {} if poolclass is None else {"poolclass": poolclass}
        return db.create_engine(url, connect_args=dict(connect_args or {}), **pool, **how)
    return _engine(url, tuple(sorted((connect_args or {}).items())))


@lru_cache(maxsize=MOST)
def _engine(url: str, connect_args: tuple[tuple[str, Any], ...]) -> db.Engine:
    return db.create_engine(url, poolclass=db.NullPool, connect_args=dict(connect_args))
