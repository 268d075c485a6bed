"""Dagster's home, as it is made ready."""

import sqlite3
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from pipelines.home import prepare_home
from pipelines.surroundings import read_surroundings
from resources.needs import GPU
from tests.tiny_project import CHILDREN

pytestmark = pytest.mark.xdist_group("children")

AT_ONCE, TABLES = 4, {"schedules/schedules.db", "history/runs.db", "history/runs/index.db"}


def open_home(home: str, together: Barrier) -> None:
    surroundings = read_surroundings({"DIRECTOR_STORE": home, "DAGSTER_HOME": home})
    together.wait(60)
    with prepare_home(surroundings) as instance:
        assert instance.get_runs() == []


def test_the_pool_has_a_slot_for_each_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")  # which `prepare_home` sets
    surroundings = read_surroundings({"DIRECTOR_STORE": str(tmp_path), "DAGSTER_HOME": str(tmp_path)})
    of_four = surroundings.deployment.model_copy(update={"device": "cuda", "gpus": 4})
    with prepare_home(replace(surroundings, deployment=of_four)) as instance:
        assert instance.event_log_storage.get_concurrency_info(GPU).slot_count == 4


def test_processes_that_open_a_new_home_at_the_same_time_all_find_it_whole(tmp_path: Path) -> None:
    together = CHILDREN.Barrier(AT_ONCE)
    processes = [CHILDREN.Process(target=open_home, args=(str(tmp_path), together)) for _ in range(AT_ONCE)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * AT_ONCE
    for name in TABLES:
        with sqlite3.connect(tmp_path / name) as database:
            assert database.execute("select count(*) from alembic_version").fetchone() == (1,)
