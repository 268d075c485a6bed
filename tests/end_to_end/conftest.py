"""One server for the tests that need a real one: starting it costs more than all they ask of it."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.dagster_server import DagsterServer
from tests.small_configs import small_configs, surroundings_of


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServer]:
    """A webserver and daemon over an empty store, which `director dev` fills with placeholder stills."""
    folder = tmp_path_factory.mktemp("server")
    small_configs(folder)
    server = DagsterServer(folder, surroundings_of(folder))
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()
