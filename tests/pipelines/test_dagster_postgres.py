"""Dagster's records in a real Postgres."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from director_diffusion.errors import StoreError
from pipelines.home import prepare_home
from pipelines.surroundings import CHECKOUT, read_surroundings
from tests.postgres_server import PostgresServer, running_postgres
from tests.small_configs import change, small_configs, surroundings_of

VARIABLE, PASSWORD = "DIRECTOR_DAGSTER_POSTGRES_URL", "geheim"
RUN = """
import sys
import dagster as dg
from pipelines.home import prepare_home
from pipelines.surroundings import read_surroundings

@dg.asset
def still() -> None: ...

surroundings = read_surroundings()
print("ready", flush=True)
sys.stdin.readline()
with prepare_home(surroundings) as instance:
    print(dg.materialize([still], instance=instance).run_id)
"""


@dg.asset
def still() -> None: ...


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def environment(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Mapping[str, str]:
    """Of a deployment that says `dagster: postgres`, over a new database; set for this process too."""
    name = f"d{abs(hash(request.node.name)) % 10**9}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    change(small_configs(tmp_path), "deployments/local", dagster="postgres")
    url = f"postgresql+psycopg2://postgres:{PASSWORD}@/{name}?host={postgres.folder}"
    environment = surroundings_of(tmp_path, **{VARIABLE: url})
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    return environment


def restart(postgres: PostgresServer) -> None:
    postgres.stop("fast")
    postgres.start()


@pytest.mark.parametrize("homes", [("one", "one"), ("one", "other")], ids=["one machine", "two machines"])
def test_two_processes_open_a_new_home_at_once_and_another_reads_what_they_did(
    environment: Mapping[str, str], tmp_path: Path, homes: tuple[str, str]
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
            env={**os.environ, **environment, "DAGSTER_HOME": str(tmp_path / home)},
        )
        for home in homes
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    ran = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        ran.append(out.strip().splitlines()[-1])
    with prepare_home(read_surroundings()) as instance:
        assert {run.run_id: run.status.value for run in instance.get_runs()} == dict.fromkeys(ran, "SUCCESS")
        for run_id in ran:
            kinds = [entry.dagster_event_type for entry in instance.all_logs(run_id)]
            assert dg.DagsterEventType.ASSET_MATERIALIZATION in kinds
            assert kinds[-1] == dg.DagsterEventType.RUN_SUCCESS
        assert PASSWORD not in instance.info_str()  # which the UI shows
    told = [path for path in tmp_path.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert told == []


def test_runs_go_on_after_postgres_was_restarted(environment: Mapping[str, str], postgres: PostgresServer) -> None:
    with prepare_home(read_surroundings()) as instance:
        first = dg.materialize([still], instance=instance).run_id
        restart(postgres)
        second = dg.materialize([still], instance=instance).run_id
        assert {run.run_id for run in instance.get_runs()} == {first, second}
        found = instance.fetch_materializations(still.key, limit=10).records
        assert {record.run_id for record in found} == {first, second}


def test_the_webserver_goes_on_after_one_error(environment: Mapping[str, str], postgres: PostgresServer) -> None:
    """It alone keeps a connection: the first question finds it closed, and the next has a new one."""
    with prepare_home(read_surroundings()) as instance:
        instance.optimize_for_webserver(statement_timeout=5000, pool_recycle=3600, max_overflow=20)
        run_id = dg.materialize([still], instance=instance).run_id
        restart(postgres)
        with pytest.raises(OperationalError):
            instance.get_runs()
        assert [run.run_id for run in instance.get_runs()] == [run_id]


def test_a_database_that_is_not_there_is_told_without_its_password(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, environment[VARIABLE].replace("?", "_nowhere?"))
    with pytest.raises(StoreError, match=r"_nowhere\" does not exist") as caught:
        prepare_home(read_surroundings())
    assert PASSWORD not in str(caught.value)
