"""The voting routes on a port of their own, in a process that a test may kill: `python -m tests.studio.voting_server
<store> <port>`.  The ledger lies beside the store's folder, under `votes/`.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import requests
import uvicorn
from fastapi import APIRouter, FastAPI

from director_diffusion.storage import Store
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.vote.routes import add_routes
from director_diffusion.voting.booth import Booth
from director_diffusion.voting.exhibition import Exhibition
from director_diffusion.voting.ledger import Ledger
from tests.voting.show import DIRECTORS, KEY, RECIPE

REPOSITORY = Path(__file__).parents[2]


def ledger_of(store: Path) -> str:
    return f"sqlite:///{store.parent}/votes/votes.sqlite"


def booth_of(store: Path) -> Booth:
    return Booth(Ledger(ledger_of(store)), Exhibition(Store(str(store)), DIRECTORS, [RECIPE]), KEY)


@contextmanager
def served(store: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its URL, and the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.studio.voting_server", str(store), str(port)], cwd=REPOSITORY
    )
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            try:
                requests.get(f"{url}/vote/choices", timeout=5).raise_for_status()
                break
            except requests.ConnectionError:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
        yield url, process
    finally:
        process.kill()
        process.wait()


def app_of(store: Path, *, voting: bool = True) -> FastAPI:
    """Nothing but the routes."""
    names = {slug: SimpleNamespace(name=f"The {slug}") for slug in DIRECTORS}
    nothing: dict[str, Any] = dict.fromkeys(Studio.__dataclass_fields__)
    booth = booth_of(store) if voting else None
    studio = Studio(**{**nothing, "booth": booth, "directors": cast(Any, names)})
    app, router = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), APIRouter()
    add_routes(router, studio)
    app.include_router(router)
    return app


def main(store: str, port: str) -> None:
    uvicorn.run(app_of(Path(store)), host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
