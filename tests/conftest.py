"""Fixtures that several rooms share: the small model set, untrained, and a running Dagster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dagster_server import DagsterServer


@pytest.fixture(scope="session")
def mini_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained base in diffusers' layout; read it, do not write to it."""
    from director_diffusion.mini.architecture import save_untrained_base

    folder = tmp_path_factory.mktemp("mini_base")
    save_untrained_base(folder)
    return folder


@pytest.fixture(scope="session")
def mini_captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained captioner in transformers' layout; read it, do not write to it."""
    from director_diffusion.mini.architecture import save_untrained_captioner

    folder = tmp_path_factory.mktemp("mini_captioner")
    save_untrained_captioner(folder)
    return folder


@pytest.fixture(scope="session")
def mini_embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained open_clip model as a local folder; read it, do not write to it."""
    from director_diffusion.mini.architecture import save_untrained_embedder

    folder = tmp_path_factory.mktemp("mini_embedder")
    save_untrained_embedder(folder)
    return folder


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
