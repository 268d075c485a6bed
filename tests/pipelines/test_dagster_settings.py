"""What a new DAGSTER_HOME begins with: limits of the queue, retries, and words where it cannot be opened."""

import os
import resource
import socket
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import BACKFILL_ID_TAG, WILL_RETRY_TAG
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import PAGE_SIZE, QueuedRunCoordinatorDaemon
from sqlalchemy import create_engine, text

from director_diffusion.errors import DirectorError, StoreError
from pipelines.cli.in_process import errors_of, run_job
from pipelines.dagster_settings import explained, look
from pipelines.home import prepare_home
from pipelines.priorities import BY_ITSELF, NOTICED
from pipelines.surroundings import Surroundings, read_surroundings
from pipelines.sweep import sweep_dead_runs
from resources.process_tags import PID, process_tags

# What a run has that the UI, a backfill or a sensor launched: the daemon finds its job by it.
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("director-diffusion"), "__repository__"), "make"
)
VARIABLE = "DIRECTOR_DAGSTER_POSTGRES_URL"


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    monkeypatch.setenv("DAGSTER_HOME", "")  # which `prepare_home` sets
    monkeypatch.delenv(VARIABLE, raising=False)
    return read_surroundings({"DIRECTOR_STORE": str(tmp_path), "DAGSTER_HOME": str(tmp_path / "home")})


def asking(surroundings: Surroundings, slug: str) -> Surroundings:
    """The same, of a deployment that says `dagster: slug`."""
    return replace(surroundings, deployment=surroundings.deployment.model_copy(update={"dagster": slug}))


def refused(surroundings: Surroundings) -> str:
    with pytest.raises(DirectorError) as caught:
        prepare_home(surroundings)
    return str(caught.value)


def test_a_backfill_leaves_room_for_a_persons_run_which_goes_first(surroundings: Surroundings) -> None:
    backfill = {BACKFILL_ID_TAG: "all"}

    with prepare_home(surroundings) as instance:

        def queue(name: str, tags: dict[str, str]) -> None:
            status = dg.DagsterRunStatus.QUEUED
            instance.add_run(dg.DagsterRun(job_name=name, status=status, tags=tags, remote_job_origin=ORIGIN))

        for _ in range(PAGE_SIZE + 3):
            queue("automation", BY_ITSELF)
            queue("backfill", backfill)
        queue("look", NOTICED)
        queue("person", {})
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=5)
        taken = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), fixed_iteration_time=None)
    assert [run.job_name for run in taken] == ["backfill", "backfill", "person", "look", "automation"]


def test_only_a_queued_run_whose_process_died_is_tried_again(surroundings: Surroundings) -> None:
    """What the daemon cannot run again must not say that it will: no alert would tell of it."""

    @dg.asset
    def trained() -> None:
        raise ValueError("no stills")

    @dg.asset
    def director() -> None: ...

    definitions = dg.Definitions([trained, director], jobs=[dg.define_asset_job("make", "*")])
    with prepare_home(surroundings) as instance:

        def killed(tags: Mapping[str, str], origin: RemoteJobOrigin | None) -> str:
            status = dg.DagsterRunStatus.STARTED
            run = dg.DagsterRun(job_name="make", status=status, tags=tags, remote_job_origin=origin)
            gone = {**process_tags(run.run_id, os.getpid()), PID: str(2**22 + 1)}
            instance.add_run(run)
            instance.add_run_tags(run.run_id, gone)
            return run.run_id

        failed = definitions.resolve_job_def("make").execute_in_process(instance=instance, raise_on_error=False).run_id
        in_terminal = run_job(definitions, instance, "make", [director.key])  # as `director run` does
        of_terminal = killed(in_terminal.dagster_run.tags, ORIGIN)  # whatever it was launched from
        of_dagster = killed({}, None)  # by `dagster asset materialize`
        queued = killed({}, ORIGIN)
        assert set(sweep_dead_runs(instance)) == {queued, of_terminal, of_dagster}
        again = {run.run_id: run.tags.get(WILL_RETRY_TAG) for run in instance.get_runs()}
    assert {run_id for run_id, will in again.items() if will == "true"} == {queued}
    assert [again[run_id] for run_id in (of_terminal, of_dagster, failed)] == ["false"] * 3


def test_what_people_changed_in_a_home_stays(surroundings: Surroundings) -> None:
    settings = surroundings.dagster_home / "dagster.yaml"
    with prepare_home(surroundings):
        pass
    text = settings.read_text()
    assert text.startswith("# Copied from configs/dagster/sqlite.yaml")
    edited = text.replace("max_concurrent_runs: 5", "max_concurrent_runs: 9")
    settings.write_text(edited)
    with prepare_home(asking(surroundings, "sqlite")) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 9
    assert settings.read_text() == edited


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("# Copied from configs/dagster/sqlite.yaml", "was made with configs/dagster/sqlite.yaml"),
        ("telemetry: {enabled: false}", "keeps its records in sqlite"),
        ("run_storage: {module: m, class: MyRuns, config: {}}", "keeps its records in MyRuns"),
    ],
)
def test_a_home_of_another_kind_than_the_deployments_is_refused(
    surroundings: Surroundings, settings: str, told: str
) -> None:
    file = surroundings.dagster_home / "dagster.yaml"
    file.parent.mkdir()
    file.write_text(settings)
    words = refused(asking(surroundings, "postgres"))
    assert told in words
    assert "deployment local says `dagster: postgres`" in words
    assert file.read_text() == settings


def test_a_home_that_was_there_before_is_taken_as_it_is(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment that names no settings goes with any Dagster that people have."""
    file = surroundings.dagster_home / "dagster.yaml"
    file.parent.mkdir()
    monkeypatch.setenv("PLACE", str(file.parent / "elsewhere"))
    file.write_text("storage: {sqlite: {base_dir: {env: PLACE}}}")
    with prepare_home(surroundings):
        assert (file.parent / "elsewhere").is_dir()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (None, "is not set"),
        ("dagster:geheim", "is no URL"),
        ("postgresql+psycopg2://dagster:geheim@db:port/dagster", "is no URL"),
        # With psycopg 3, which SQLAlchemy 2.1 takes for it, the webserver finds every connection closed.
        (
            "postgresql://dagster:geheim@db/dagster",
            "begins with postgresql://, where Dagster needs postgresql+psycopg2",
        ),
        ("mysql://dagster:geheim@db/dagster", "begins with mysql://"),
    ],
)
def test_postgres_without_a_usable_address_is_told(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch, url: str | None, told: str
) -> None:
    if url is not None:
        monkeypatch.setenv(VARIABLE, url)
    words = refused(asking(surroundings, "postgres"))
    assert words.startswith(VARIABLE)
    assert told in words
    assert "geheim" not in words


@pytest.mark.parametrize(
    ("text", "told"), [("storage: [", "flow"), ("run_queues: 1", 'unexpected config entry "run_queues"')]
)
def test_settings_that_dagster_cannot_read_are_told(surroundings: Surroundings, text: str, told: str) -> None:
    file = surroundings.dagster_home / "dagster.yaml"
    file.parent.mkdir()
    file.write_text(text)
    words = refused(surroundings)
    assert words.startswith(f"{file}: cannot be read")
    assert told in words
    assert len(words) < 600


def test_settings_that_do_not_exist_are_told(surroundings: Surroundings) -> None:
    words = refused(asking(surroundings, "oracle"))
    assert "oracle.yaml, which does not exist" in words
    assert "postgres, ray, sqlite" in words


@pytest.mark.parametrize(
    ("setting", "told"),
    [("max_page_count=1", "no space left.*Free some space and run again"), ("query_only=1", "is read-only.*writable")],
    ids=["full", "read-only"],
)
def test_a_disk_that_refuses_records_is_named_with_the_way_out(tmp_path: Path, setting: str, told: str) -> None:
    with sqlite3.connect(tmp_path / "runs.db") as file:
        file.execute("CREATE TABLE runs (body TEXT)")
    engine = create_engine(f"sqlite:///{tmp_path}/runs.db")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA {setting}")
        with pytest.raises(StoreError, match=rf"(?s){tmp_path}.*{told}"), explained(tmp_path):
            connection.execute(text("INSERT INTO runs VALUES (:body)"), {"body": "x" * 100_000})
    engine.dispose()


def test_records_whose_files_cannot_grow_are_named(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "runs.db") as file:
        file.execute("CREATE TABLE runs (body TEXT)")
    engine = create_engine(f"sqlite:///{tmp_path}/runs.db")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**15, before[1]))  # SQLite's word for it is "disk I/O error"
    try:
        told = pytest.raises(StoreError, match=r"(?s)could not be written.*disk.*Free some space")
        with told, explained(tmp_path), engine.begin() as connection:
            connection.execute(text("INSERT INTO runs VALUES (:body)"), {"body": "x" * 2**17})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        engine.dispose()


def test_records_whose_place_is_gone_are_named(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/gone/runs.db")
    with pytest.raises(StoreError, match=r"(?s)could not be opened.*Make it writable"), explained(tmp_path):
        engine.connect()


def test_records_that_fail_under_a_command_are_told_in_a_line(surroundings: Surroundings, tmp_path: Path) -> None:
    @dg.asset
    def still() -> None:
        for database in (tmp_path / "home" / "history").rglob("*.db"):
            database.write_bytes(b"no database, as of now" * 100)

    definitions = dg.Definitions(assets=[still], jobs=[dg.define_asset_job("make")])
    with prepare_home(surroundings) as instance, pytest.raises(StoreError, match=r"Dagster's records.*then run again"):
        run_job(definitions, instance, "make", [still.key])


def test_records_that_fail_a_step_and_are_there_again_are_told_with_the_way_out(surroundings: Surroundings) -> None:
    """As where Postgres is restarted while a step tells of its work."""

    @dg.asset
    def still() -> None:
        raise sqlite3.OperationalError("the database system is starting up")

    definitions = dg.Definitions(assets=[still], jobs=[dg.define_asset_job("make")])
    with prepare_home(surroundings) as instance:
        (told,) = errors_of(run_job(definitions, instance, "make", [still.key]))
    assert told.startswith("Dagster's records, as DAGSTER_HOME's dagster.yaml says")
    assert "do not answer (the database system is starting up)" in told
    assert "then run again" in told


def test_a_look_at_a_database_that_is_silent_ends(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.dagster_settings.ANSWER_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(VARIABLE, f"postgresql+psycopg2://ann@127.0.0.1:{silent.getsockname()[1]}/records")
        with pytest.raises(StoreError, match=r"do not answer.*timeout expired"):
            look(asking(surroundings, "postgres"))
    assert not surroundings.dagster_home.exists(), "it only looks"


def test_a_look_at_settings_that_are_no_file_is_told(surroundings: Surroundings) -> None:
    (surroundings.dagster_home / "dagster.yaml").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be opened: Is a directory"):
        look(surroundings)
