"""Fixtures that several rooms share: the shipped models, and a running Dagster."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.finished import both, made, taught

if TYPE_CHECKING:
    from tests.dagster_server import DagsterServer
    from tests.s3_server import S3Server
    from tests.tiny_project import TinyProject

__all__ = ["both", "made", "taught"]

MINI = Path(__file__).parents[1] / "models" / "mini"
GROUPS = ("server", "children")  # what one worker alone is to start: Dagster's server, and the server that forks
LONG = (  # folders of whose files many take half a minute
    "end_to_end", "ui", "studio", "cli", "pretraining", "distillation", "pipelines", "training", "storage",
)  # fmt: skip

WIDE = (  # what nearly all of tests' imports come to
    ("torch", "torchvision", "diffusers", "peft"),
    ("dagster", "dagster_graphql", "gradio", "moto.moto_server.werkzeug_app"),
    ("scipy.stats", "sympy", "pandas", "matplotlib.figure", "playwright.sync_api", "transformers", "open_clip"),
)

gc.disable()  # while tests are imported, of which nothing is let go


def pytest_sessionstart() -> None:
    """Of a new environment Python compiles what it imports: of several workers, each begins where no other does."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker:
        first = int(worker.removeprefix("gw")) % len(WIDE)
        for modules in (*WIDE[first:], *WIDE[:first]):
            for name in modules:
                importlib.import_module(name)


def pytest_collection_finish() -> None:
    """What was imported for tests stays until the end: the collector looks at what they make alone, and less often.

    Of a million objects it cost a tenth of a run's time.
    """
    gc.enable()
    gc.freeze()
    gc.set_threshold(10_000)


def pytest_unconfigure() -> None:
    """Libraries that count what they let go of at the end complain of what is kept."""
    gc.unfreeze()


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Among workers (pytest-xdist), a file's tests stay together, and those of a group; what is long begins first.

    xdist hands groups out in this order as long as it is told not to sort them (`--no-loadscope-reorder`).
    """
    for item in items:
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("server"))
        elif item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=_length)


def _length(item: pytest.Item) -> int:
    """Smaller is longer."""
    marker, places = item.get_closest_marker("xdist_group"), (*GROUPS, *LONG)
    names = {marker.args[0] if marker else "", item.path.parent.name}
    return min((place for place, name in enumerate(places) if name in names), default=len(places))


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
def server(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServer]:
    """One webserver and daemon for all tests that need a real one: starting it costs more than most of them ask of it.

    The store has no stills but placeholders that `director dev` drew, of which nolan's are those that all was made of.
    Tests share it in any order, so each keeps to directors of its own and compares with what it found.
    """
    from director_diffusion.scenes.placeholders import MARK
    from tests.dagster_server import DagsterServer
    from tests.small_configs import CONFIGS, change, read, surroundings_of

    folder = made.copy(tmp_path_factory.mktemp("server")).folder
    shutil.rmtree(folder / "store" / "stills")
    (folder / "store" / MARK).unlink()
    change(folder / "configs", "projects/demo", directors=read(CONFIGS, "projects/demo")["directors"])
    server = DagsterServer(folder, surroundings_of(folder))
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()
