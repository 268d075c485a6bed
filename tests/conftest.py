"""Fixtures that several rooms share: the shipped models, and a running Dagster."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import pytest

if TYPE_CHECKING:
    from tests.dagster_server import DagsterServer
    from tests.s3_server import S3Server

MINI = Path(__file__).parents[1] / "models" / "mini"
COSTLY = {"server": 1, "made": 2}  # fixtures of a session, and how many workers at most are to make each


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Among workers (pytest-xdist), a file's tests stay together, and tests of a costly fixture on a few workers."""
    for item in items:
        costly = [name for name in COSTLY if name in getattr(item, "fixturenames", ())]
        share = f"{costly[0]} {crc32(item.path.stem.encode()) % COSTLY[costly[0]]}" if costly else item.path.stem
        item.add_marker(pytest.mark.xdist_group(share))


@pytest.fixture(scope="session")
def mini_base() -> Path:
    """The shipped base in diffusers' layout; read it, do not write to it."""
    return MINI / "base"


@pytest.fixture(scope="session")
def mini_captioner() -> Path:
    """The shipped captioner in transformers' layout; read it, do not write to it."""
    return MINI / "captioner"


@pytest.fixture(scope="session")
def mini_embedder() -> Path:
    """The shipped open_clip model as a local folder; read it, do not write to it."""
    return MINI / "embedder"


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server on loopback; `bucket` makes a place of a test's own on it."""
    from tests.s3_server import s3_server

    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """URL of a store on S3 that holds nothing, with botocore's environment set for it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))
    name = f"stores-{uuid.uuid4().hex[:12]}"
    s3.client().create_bucket(Bucket=name)
    return f"s3://{name}/some/prefix"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServer]:
    """One webserver and daemon for all tests that need a real one: starting it costs more than most of them ask of it.

    The store is new, with placeholder stills that `director dev` drew.  Tests share it in any order, so each keeps to
    directors of its own and compares with what it found.
    """
    from tests.dagster_server import DagsterServer
    from tests.small_configs import small_configs, surroundings_of

    folder = tmp_path_factory.mktemp("server")
    small_configs(folder)
    server = DagsterServer(folder, surroundings_of(folder))
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()
