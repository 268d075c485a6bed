"""Ledgers on SQLite and on a real Postgres, and a booth over pictures of one colour each."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from director_diffusion.storage import Store
from director_diffusion.voting.booth import Booth
from director_diffusion.voting.exhibition import Exhibition
from director_diffusion.voting.ledger import Ledger
from tests.postgres_server import running_postgres
from tests.voting.show import DIRECTORS, KEY, RECIPE, set_up


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a new server's one database."""
    with running_postgres() as server:
        yield server.url


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
