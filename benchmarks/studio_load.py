"""Many visitors of one studio: errors, waiting, votes and memory while they draw and vote.

    python -m benchmarks.studio_load --store STORE [--clients 50] [--seconds 120] [--json]

Starts `director app` over a copy of STORE, which `director run` has filled, and lets every client draw and vote by
turns of chance (`ACTIONS`) in a session of its own; who votes looks at the pair for `--think` seconds first.  A full
queue is no error: the client waits a second.  Memory is the server's resident set after the first third of the time, in
which it loads what it needs.  Clients run on the same machine, and take their part of it.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
import requests

from benchmarks.bars import at_least, at_most, print_report, within
from benchmarks.voting_load import MEDIAN_S, Voted, Voter
from director_diffusion.voting.ledger import Ledger

PROMPTS = ("a red car on a street by day", "two houses on grass at dusk", "three trees on a hill by day")
STEPS = 4
PATIENCE_S = 180
GROWTH_MIB = 64  # of the resident set that is called flat


@dataclass
class Seen:
    """What all clients saw, by action."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    full: int = 0
    errors: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)  # seconds, bytes
    voted: list[Voted] = field(default_factory=list)  # by client


class QueueFullError(Exception):
    """The studio has no place in its line."""


@dataclass
class Client:
    """One visitor with a pass of its own."""

    http: httpx.AsyncClient
    calls: dict[str, int]
    adapters: list[str]
    rng: random.Random
    session: str  # one page's
    voter: Voter
    think_s: float

    async def call(self, name: str, *data: object) -> list[Any]:
        """What a call shows.  Raises QueueFullError, and RuntimeError for any other refusal."""
        body = {"data": data, "fn_index": self.calls[name], "session_hash": self.session}
        joined = await self.http.post("/gradio_api/queue/join", json=body)
        if joined.status_code == 503:
            raise QueueFullError
        joined.raise_for_status()
        async with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            async for line in stream.aiter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    if message["success"]:
                        return list(output["data"])
                    if str(output["error"]).startswith("queue full"):
                        raise QueueFullError
                    raise RuntimeError(output["error"])
        raise RuntimeError("the answer broke off")


async def draw(client: Client) -> None:
    """A picture by any director, looked at."""
    prompt, seed = client.rng.choice(PROMPTS), client.rng.randrange(2**32)
    picture, _ = await client.call("try", client.rng.choice(client.adapters), prompt, seed, 1.0, STEPS, "full")
    (await client.http.get(picture["url"])).raise_for_status()


async def vote(client: Client) -> None:
    """On the next pair, looked at."""
    if not await asyncio.to_thread(client.voter.vote, client.think_s):
        raise RuntimeError("no pair is left")


ACTIONS: dict[str, Callable[[Client], Awaitable[None]]] = {"draw": draw, "vote": vote}


async def live(client: Client, seen: Seen, until: float) -> None:
    while time.monotonic() < until:
        name = client.rng.choice(list(ACTIONS))
        started = time.monotonic()
        try:
            await ACTIONS[name](client)
        except QueueFullError:
            seen.full += 1
            await asyncio.sleep(1)
        except (httpx.HTTPError, requests.RequestException, RuntimeError) as error:
            seen.errors.append(f"{name}: {type(error).__name__}: {error}")
        else:
            seen.seconds.setdefault(name, []).append(time.monotonic() - started)


async def watch(server: psutil.Process, seen: Seen, until: float) -> None:
    started = time.monotonic()
    while time.monotonic() < until:
        seen.memory.append((time.monotonic() - started, server.memory_info().rss))
        await asyncio.sleep(0.5)


async def load(address: str, server: psutil.Process, clients: int, seconds: float, think_s: float) -> Seen:
    seen = Seen()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(clients))  # a thread for each who votes
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S) as http:
        config = (await http.get("/config")).raise_for_status().json()
    calls = {one["api_name"]: one["id"] for one in config["dependencies"]}
    shown = next(one for one in config["components"] if one["props"].get("label") == "Director")
    adapters = [value for _, value in shown["props"]["choices"]]
    limits = httpx.Limits(max_connections=4)
    visitors = [
        Client(
            httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, limits=limits),
            calls,
            adapters,
            random.Random(number),
            f"page-{number}",
            Voter(address),
            think_s,
        )
        for number in range(clients)
    ]
    await visitors[0].call("try", adapters[0], PROMPTS[0], 0, 1.0, 1, "full")  # libraries and base are loaded
    until = time.monotonic() + seconds
    try:
        for one in visitors:
            (await one.http.get("/")).raise_for_status()  # the page, and a pass in a cookie
        await asyncio.gather(watch(server, seen, until), *(live(one, seen, until) for one in visitors))
    finally:
        for one in visitors:
            await one.http.aclose()
    seen.voted = [one.voter.seen for one in visitors]
    return seen


def measure(store: Path, clients: int, seconds: float, think_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(store, Path(folder) / "store")
        ledger = Ledger(f"sqlite:///{folder}/store/votes/votes.sqlite")
        before = sum(ledger.counts().values())
        ledger.close()
        temporary = Path(folder) / "tmp"
        temporary.mkdir()
        environment = {**os.environ, "DIRECTOR_STORE": f"{folder}/store", "TMPDIR": str(temporary)}
        command = [sys.executable, "-m", "pipelines.cli.main", "app", "--port", "0"]
        log = Path(folder) / "log"  # of a pipe that nobody reads, a server that says much would wait for us
        with (
            log.open("wb") as said,
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=said, text=True) as app,
        ):
            try:
                assert app.stdout is not None
                lines = iter(app.stdout.readline, "")  # of the bases that it fetches first, too
                address = next(line for line in lines if "http://" in line).split()[-1]
                seen = asyncio.run(load(address, psutil.Process(app.pid), clients, seconds, think_s))
            finally:
                app.terminate()
            app.communicate(timeout=60)
        ledger = Ledger(f"sqlite:///{folder}/store/votes/votes.sqlite")
        kept = sum(ledger.counts().values()) - before
        ledger.close()
        left = [path.name for path in temporary.iterdir() if "torch" not in path.name]  # its cache of kernels
        told = log.read_text(errors="replace")
    return report(seen, seconds, told, left, kept)


def report(seen: Seen, seconds: float, said: str, left: list[str], kept: int) -> dict[str, Any]:
    """`kept` votes were found in the ledger."""
    seen.errors += [error for one in seen.voted for error in one.errors]
    tokens = [token for one in seen.voted for token in one.cast]
    times = {
        what: [second for one in seen.voted for second in one.seconds[what]] for what in ("next", "picture", "cast")
    }
    settled = [size for at, size in seen.memory if at >= seconds / 3]
    half = len(settled) // 2
    growth = (median(settled[half:]) - median(settled[:half])) / 2**20
    return {
        "done": {name: len(times) for name, times in seen.seconds.items()},
        "median_s": {name: round(median(times), 3) for name, times in seen.seconds.items()},
        "of_a_vote_ms": {what: round(1000 * median(some), 1) for what, some in times.items() if some},
        "votes": len(tokens),
        "queue_full": seen.full,
        "errors": sorted(set(seen.errors))[:8],
        "resident_mib": [round(size / 2**20) for _, size in seen.memory[:: max(1, len(seen.memory) // 12)]],
        "log": said.splitlines()[-8:],
        "left": left,
        "bars": [
            at_most("errors other than a full queue", len(seen.errors), 0),
            at_least("clients who voted", sum(bool(one.cast) for one in seen.voted), len(seen.voted)),
            at_least("pictures drawn", len(seen.seconds.get("draw", [])), 1),
            within("votes in the ledger", kept, len(set(tokens)), len(set(tokens))),
            at_most("median vote, s", median(times["cast"]), MEDIAN_S),
            at_most("growth of memory, later half against earlier, MiB", growth, GROWTH_MIB),
            at_most("lines in the server's log", len(said.splitlines()), 0),
            at_most("temporary files left behind", len(left), 0),
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, required=True, help="of a finished `director run`; it is copied")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--think", type=float, default=2.0, help="seconds that each looks at a pair")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    return print_report(measure(options.store, options.clients, options.seconds, options.think), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
