"""A real Postgres in a folder of its own, which listens on a socket there alone."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


@dataclass(frozen=True)
class PostgresServer:
    """A running server with the one database `postgres`."""

    binaries: Path
    folder: Path
    user: str | None  # None: as who runs this

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [self.binaries / name, "-D", self.folder / "data", *arguments],
            check=True,
            user=self.user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    def start(self) -> None:
        settings, log = f"-k {self.folder} -c listen_addresses=", str(self.folder / "log")
        self.run("pg_ctl", "start", "--wait", "--silent", "-o", settings, "-l", log)

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "stop", f"--mode={mode}", "--silent")


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A new server, or the test is skipped where there is no Postgres."""
    found = shutil.which("initdb")
    binaries = BINARIES[-1] if BINARIES else Path(found).resolve().parent if found else None
    if binaries is None:
        pytest.skip("Postgres is not installed here (apt-get install postgresql)")
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresServer(binaries, folder, user)
    try:
        if user is not None:
            shutil.chown(folder, user)
        server.run("initdb", "--username=postgres", "--auth=trust", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
