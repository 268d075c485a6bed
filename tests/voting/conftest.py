"""Ledgers on SQLite and on a real Postgres, and a booth over pictures of one colour each."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from director_diffusion.storage import Store
from director_diffusion.voting.booth import Booth
from director_diffusion.voting.exhibition import Exhibition
from director_diffusion.voting.ledger import Ledger
from tests.voting.show import DIRECTORS, KEY, RECIPE, set_up

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a new server's one database; it listens on a socket in its own folder."""
    found = shutil.which("initdb")
    binaries = BINARIES[-1] if BINARIES else Path(found).resolve().parent if found else None
    if binaries is None:
        pytest.skip("Postgres is not installed here (apt-get install postgresql)")
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if user is not None:
            shutil.chown(folder, user)

        def run(name: str, *arguments: str) -> None:
            subprocess.run(
                [binaries / name, "-D", folder / "data", *arguments],
                check=True,
                user=user,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                timeout=60,
            )

        run("initdb", "--username=postgres", "--auth=trust", "--no-sync")
        run(
            "pg_ctl",
            "start",
            "--wait",
            "--silent",
            "-o",
            f"-k {folder} -c listen_addresses=",
            "-l",
            str(folder / "log"),
        )
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "--mode=immediate", "--silent")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a new ledger may be."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/votes/votes.sqlite"
        return
    server = request.getfixturevalue("postgres")
    yield server
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS votes")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = Ledger(f"sqlite:///{tmp_path}/votes/votes.sqlite")
    yield found
    found.close()


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with something to vote on, to be copied."""
    folder = tmp_path_factory.mktemp("shown")
    set_up(Store(str(folder)))
    return folder


@pytest.fixture
def store(shown: Path, tmp_path: Path) -> Store:
    shutil.copytree(shown, tmp_path / "store")
    return Store(str(tmp_path / "store"))


@pytest.fixture
def booth(store: Store, ledger: Ledger) -> Booth:
    return Booth(ledger, Exhibition(store, DIRECTORS, [RECIPE]), KEY)
