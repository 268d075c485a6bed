"""Launching one director without the UI: Dagster's command, `dg`, and a backfill.  The others are untouched.

All share one DAGSTER_HOME, so the server sees what the commands did.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.surroundings import CHECKOUT
from tests.dagster_server import DagsterServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

BY_BACKFILL = {"fincher", "villeneuve"}
CHEAP = ["raw_stills", "still_decisions", "written_captions", "director", "stills"]
ASSETS = ",".join(CHEAP)
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module", autouse=True)
def backfill(server: DagsterServer) -> str:
    """A backfill launched before the commands: its daemon looks at it twice a minute, and they use that time."""
    return server.launch_backfill(CHEAP, sorted(BY_BACKFILL))


@pytest.mark.parametrize(
    ("director", "command"),
    [
        ("anderson", ["dagster", "asset", "materialize", "--select", ASSETS, "-m", "pipelines.definitions"]),
        ("scorsese", ["dg", "launch", "--assets", ASSETS]),
    ],
    ids=["dagster asset materialize", "dg launch"],
)
def test_command_materializes_one_director(server: DagsterServer, director: str, command: list[str]) -> None:
    before = materialized_without_backfill(server)
    assert not any(director in partitions for partitions in before.values())
    result = subprocess.run(
        [str(BIN / command[0]), *command[1:], "--partition", director],
        cwd=CHECKOUT,
        env={**server.environment, "VIRTUAL_ENV": str(BIN.parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    expected = {asset: old | ({director} if asset in CHEAP else set()) for asset, old in before.items()}
    assert materialized_without_backfill(server) == expected


def test_backfill_of_two_directors(server: DagsterServer, backfill: str) -> None:
    server.wait_for_backfill(backfill)
    for asset, partitions in server.materialized().items():
        assert partitions & BY_BACKFILL == (BY_BACKFILL if asset in CHEAP else set()), asset


def materialized_without_backfill(server: DagsterServer) -> dict[str, set[str]]:
    return {asset: partitions - BY_BACKFILL for asset, partitions in server.materialized().items()}
