"""Dagster's settings: which file of `configs/dagster/` a new DAGSTER_HOME begins with.

Belongs here: choosing and copying that file, and saying what is wrong where a home cannot be opened with what it has.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

import dagster as dg
import yaml
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from director_diffusion.errors import DirectorError, SpecError, StoreError
from pipelines.surroundings import Surroundings, shipped

FILE, USUAL = "dagster.yaml", "sqlite"
# The driver that dagster-postgres is written for.  SQLAlchemy 2.1 takes psycopg 3 where a URL names none, and Dagster's
# webserver closes every connection of that as it sets it up.
DRIVER = "postgresql+psycopg2"
ANSWER_S = 10  # for a database that is only looked at
_DRIVERS = ("psycopg2.", "sqlite3.")  # with which the names of their errors begin
_COPIED = "# Copied from configs/dagster/{slug}.yaml when this DAGSTER_HOME was made; edit it as you like.\n"
_FROM = re.compile(r"^# Copied from configs/dagster/(\w+)\.yaml")


def settle(surroundings: Surroundings) -> None:
    """Copy the deployment's settings into a home that has none, and look whether one that has some can be used.

    Raises SpecError where there are no such settings, and StoreError where a home's are others than the deployment
    names, or need a variable that is not as it must be.
    """
    settings, slug = surroundings.dagster_home / FILE, surroundings.deployment.dagster
    if not settings.exists():
        text = _COPIED.format(slug=slug or USUAL) + _chosen(surroundings).read_text(encoding="utf-8")
        half = settings.with_name(f"{FILE}.new")
        half.write_text(text, encoding="utf-8")
        half.replace(settings)
    _check(surroundings, settings.read_text(encoding="utf-8"))


def look(surroundings: Surroundings) -> str:
    """Where the records of the home are, or are going to be, in words; nothing is made or changed.

    Raises SpecError and StoreError as `settle` does, and StoreError where a database does not answer.
    """
    home = surroundings.dagster_home
    settings = home / FILE
    is_made = settings.exists()
    try:
        text = (settings if is_made else _chosen(surroundings)).read_text(encoding="utf-8")
    except OSError as error:
        raise StoreError(
            str(settings), f"cannot be opened: {error.strerror}", "Make it a file that this user may read."
        ) from error
    with explained(home):
        _check(surroundings, text)
        kind = _storage(_read(text))
        if (address := _address(_read(text))) is not None:
            engine = create_engine(os.environ[address], connect_args={"connect_timeout": ANSWER_S})
            try:
                engine.connect().close()
            finally:
                engine.dispose()
        if is_made:
            with dg.DagsterInstance.from_config(str(home)) as instance:
                return f"{home}: {instance.get_runs_count()} runs, records in {kind}"
    return f"{home}: made at the first run, records in {kind}"


def _check(surroundings: Surroundings, found: str) -> None:
    """Raises StoreError where settings are others than the deployment names, or lack their variable."""
    slug = surroundings.deployment.dagster
    if slug is not None:
        origin = _FROM.match(found)
        if origin is not None and origin.group(1) != slug:
            raise _differs(surroundings, f"was made with configs/dagster/{origin.group(1)}.yaml")
        kind = _storage(_read(found))
        if kind != _storage(_read(_chosen(surroundings).read_text(encoding="utf-8"))):
            raise _differs(surroundings, f"keeps its records in {kind}, as its {FILE} says")
    if (name := _address(_read(found))) is not None:
        _check_address(name)


def _differs(surroundings: Surroundings, problem: str) -> StoreError:
    deployment = surroundings.deployment
    return StoreError(
        f"DAGSTER_HOME {surroundings.dagster_home}",
        f"{problem}, but deployment {deployment.slug} says `dagster: {deployment.dagster}`",
        f"Move its {FILE} away to have it written anew (records stay where they are, and are not carried over), give "
        "another DAGSTER_HOME, or change the deployment.",
    )


def _chosen(surroundings: Surroundings) -> Path:
    """The file of the catalog's configs, else the shipped one."""
    slug = surroundings.deployment.dagster or USUAL
    folders = [configs / "dagster" for configs in (surroundings.catalog.folder, shipped() / "configs")]
    for folder in folders:
        if (path := folder / f"{slug}.yaml").is_file():
            return path
    there = ", ".join(sorted({path.stem for folder in folders for path in folder.glob("*.yaml")}))
    raise SpecError(
        f"deployment {surroundings.deployment.slug}, key dagster",
        f"names {folders[0] / slug}.yaml, which does not exist",
        f"Choose one of {there}, or write it.",
    )


@contextmanager
def explained(home: Path) -> Iterator[None]:
    """Say what is wrong with a home's settings, or with the database that they name; never with a password.

    Raises StoreError.
    """
    file = str(home / FILE)
    try:
        yield
    except DirectorError:
        raise  # before what is imported below, which takes seconds
    except (dg.DagsterInvalidConfigError, yaml.YAMLError) as error:
        problem = error.errors[0].message if isinstance(error, dg.DagsterInvalidConfigError) else str(error)
        problem = shorten(problem.partition(" Expected:")[0], 400)  # what follows is the whole of what there may be
        raise StoreError(
            file,
            f"cannot be read as Dagster's settings: {problem}",
            "Mend it, or move it away to have it written anew.",
        ) from error
    except _database_errors() as error:
        database = error if isinstance(error, SQLAlchemyError) else error.__cause__
        words = str(getattr(database, "orig", None) or database or error).strip().splitlines()
        problem, way_out = _of_database(words[0] if words else type(error).__name__)
        raise StoreError(f"Dagster's records, as {file} says where they are", problem, way_out) from error


def in_step(message: str) -> str | None:
    """What a step's error means that ended it by Dagster's records; None for any other."""
    kind, _, words = message.strip().partition(": ")
    if not kind.startswith(_DRIVERS):
        return None
    problem, way_out = _of_database(words.splitlines()[0] if words else kind)
    return f"Dagster's records, as DAGSTER_HOME's {FILE} says where they are: {problem}. {way_out}"


def _of_database(words: str) -> tuple[str, str]:
    """Problem and way out, of SQLite's words or Postgres'."""
    if "disk is full" in words or "No space left" in words:
        return (
            f"could not be written: no space left there ({words})",
            "Free some space and run again; nothing was lost.",
        )
    if "disk I/O error" in words:  # SQLite's word where its files cannot grow, too
        return (
            f"could not be written ({words}): there is no space left on their disk, or it is broken",
            "Free some space, or look at the disk; then run again: what is made is kept.",
        )
    if "readonly database" in words:
        return "could not be written: their place is read-only for this user", "Make it writable and run again."
    if "unable to open database file" in words:
        return (
            f"could not be opened ({words}): their place is gone, or read-only for this user",
            "Make it writable and run again: what is made is kept.",
        )
    return (
        f"do not answer ({words})",
        "Look whether the database is there and lets this user write; then run again: what is made is kept.",
    )


def _database_errors() -> tuple[type[Exception], ...]:
    from dagster_postgres.utils import DagsterPostgresException

    return (SQLAlchemyError, DagsterPostgresException)


def _address(settings: dict[str, Any]) -> str | None:
    """The variable that is to name a Postgres, where settings have one."""
    match settings.get("storage"):
        case {"postgres": {"postgres_url": {"env": str(name)}}}:
            return name
        case _:
            return None


def _check_address(name: str) -> None:
    """Raises StoreError where the variable does not name a Postgres, as dagster-postgres wants it."""
    way_out = f"Set it to {DRIVER}://<user>@<host>/<database>; docs/dagster_storage.md."
    address = os.environ.get(name)
    if not address:
        raise StoreError(name, "is not set, and DAGSTER_HOME keeps its records in Postgres", way_out)
    try:
        driver = make_url(address).drivername
    except (ArgumentError, ValueError):
        raise StoreError(name, "is no URL of a database", way_out) from None
    if driver != DRIVER:
        raise StoreError(name, f"begins with {driver}://, where Dagster needs {DRIVER}://", way_out)


def _read(text: str) -> dict[str, Any]:
    settings = yaml.safe_load(text)
    return settings if isinstance(settings, dict) else {}


def _storage(settings: dict[str, Any]) -> str:
    """The kind of storage that settings name: `sqlite` where they name none."""
    apart = settings.get("run_storage")  # the older way: a class for each kind of record
    if isinstance(apart, dict):
        return str(apart.get("class"))
    storage = settings.get("storage")
    return str(next(iter(storage))) if isinstance(storage, dict) and storage else USUAL
