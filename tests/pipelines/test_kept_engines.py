"""Dagster's records are looked into by engines that are kept, which hold no file between two looks."""

import shutil
from pathlib import Path

import dagster as dg
import psutil
import sqlalchemy as db
from alembic.script import ScriptDirectory
from dagster._core.storage import sql
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.sql import get_alembic_config

from pipelines.kept_engines import _engine, keep_engines


def test_engines_and_migrations_are_made_once(tmp_path: Path) -> None:
    keep_engines()
    keep_engines()
    ask = {"poolclass": db.NullPool, "connect_args": {"timeout": 30}}
    url = f"sqlite:///{tmp_path / 'some.db'}"
    assert sqlite_event_log.create_engine(url, **ask) is sqlite_event_log.create_engine(url, **ask)
    assert sqlite_event_log.create_engine(f"{url}2", **ask) is not sqlite_event_log.create_engine(url, **ask)
    otherwise = {"poolclass": db.SingletonThreadPool}
    assert sqlite_event_log.create_engine(url, **otherwise) is not sqlite_event_log.create_engine(url, **otherwise)
    config = get_alembic_config(sqlite_run_storage.__file__)
    assert sql.ScriptDirectory.from_config(config) is sql.ScriptDirectory.from_config(config)
    assert ScriptDirectory.from_config(config) is not ScriptDirectory.from_config(config), "other code's stays its own"


def test_records_that_were_replaced_are_read_as_they_are_now(tmp_path: Path) -> None:
    keep_engines()
    home, before = tmp_path / "home", tmp_path / "before"

    def runs() -> int:
        with dg.instance_for_test(temp_dir=str(home)) as instance:
            return instance.get_runs_count()

    def add() -> None:
        with dg.instance_for_test(temp_dir=str(home)) as instance:
            instance.add_run(dg.DagsterRun(job_name="make"))
            instance.report_runless_asset_event(dg.AssetMaterialization("stills"))

    home.mkdir()
    add()
    before_reading = _engine.cache_info()
    assert runs() == 1
    read = _engine.cache_info()
    assert read.hits > before_reading.hits, "Dagster asks here for its engines"
    assert read.misses == before_reading.misses
    shutil.copytree(home, before)
    add()
    assert runs() == 2
    assert not [file.path for file in psutil.Process().open_files() if file.path.startswith(str(home))]
    shutil.rmtree(home)
    shutil.copytree(before, home)
    assert runs() == 1
    add()
    assert runs() == 2
