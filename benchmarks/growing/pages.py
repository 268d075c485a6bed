"""Pages: what the UI's server takes to answer the questions that the UI asks.

Belongs here: a webserver over a project, and those questions, taken from the UI's own files so that they are what it
sends.
"""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import dagster_webserver
import psutil
import requests

LOCATION = "pipelines.definitions"
AT_ONCE = 10  # assets that the UI asks about in one request
TIMES = 3
BACKFILL = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""


@cache
def _texts() -> dict[str, str]:
    """GraphQL's queries and fragments by name, as they stand in the UI's JavaScript."""
    found: dict[str, str] = {}
    build = Path(dagster_webserver.__file__).parent / "webapp" / "build"
    for path in build.rglob("*.js"):
        script = path.read_text(encoding="utf-8", errors="replace")
        for match in re.finditer(r'"((?:\\n|\s)*(?:query|fragment) \w+[^"]*)"', script):
            text = match.group(1).replace("\\n", "\n")
            for part in re.split(r"^(?=  (?:query|fragment) )", text, flags=re.MULTILINE):
                if named := re.match(r"\s*(?:query|fragment) (\w+)", part):
                    found.setdefault(named.group(1), part)
    return found


def question(name: str) -> str:
    """A query of the UI with all fragments that it names."""
    parts: dict[str, str] = {}
    wanted = [name]
    while wanted:
        one = wanted.pop()
        if one not in parts:
            parts[one] = _texts()[one]
            wanted += [fragment for fragment in re.findall(r"\.\.\.(\w+)", parts[one]) if fragment != "on"]
    return "\n".join(parts.values())


class Server:
    """A webserver with the project's code server, and no daemon."""

    def __init__(self, process: psutil.Process, port: int):
        self.process, self.url = process, f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        response = requests.post(self.url, json={"query": query, "variables": variables}, timeout=600)
        answer = response.json()
        if "errors" in answer:
            raise RuntimeError(f"the UI's server: {answer['errors']}")
        return dict(answer["data"])

    def memory_mib(self) -> float:
        """Resident, of the server and the code server."""
        each = [self.process, *self.process.children(recursive=True)]
        return sum(one.memory_info().rss for one in each) / 2**20


@contextmanager
def serving(environment: Mapping[str, str], log: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "dagster_webserver", "-m", LOCATION, "-h", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as out, subprocess.Popen(command, env=dict(environment), stdout=out, stderr=out) as process:
        try:
            server = Server(psutil.Process(process.pid), port)
            deadline = time.monotonic() + 300
            while True:
                try:
                    server.ask("{ version }")
                    break
                except requests.ConnectionError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"the UI's server did not come up: {log.read_text()[-2000:]}") from None
                    time.sleep(0.2)
            yield server
        finally:
            process.terminate()


def pages(environment: Mapping[str, str], log: Path, directors: Sequence[str]) -> dict[str, Any]:
    """Seconds of the lineage page and of an asset's partitions, the median of three after one; memory; a backfill."""
    with serving(environment, log) as server:
        nodes = server.ask("{ assetNodes { assetKey { path } isPartitioned } }")["assetNodes"]
        keys = [{"path": node["assetKey"]["path"]} for node in nodes]
        some = [keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE)]
        structure, live = question("LocationWorkspaceAssetsQuery"), question("AssetGraphLiveQuery")
        stale, partitions = question("AssetStaleStatusQuery"), question("PartitionHealthQuery")

        def lineage() -> None:
            server.ask(structure, name=LOCATION)
            for batch in some:
                server.ask(live, assetKeys=batch)

        def staleness() -> None:
            for batch in some:
                server.ask(stale, assetKeys=batch)

        told = {
            "lineage_s": _median(lineage),
            "stale_s": _median(staleness),
            "partitions_s": _median(lambda: server.ask(partitions, assetKey={"path": ["stills"]})),
            "server_mib": server.memory_mib(),
        }
        wanted = [{"path": node["assetKey"]["path"]} for node in nodes if node["isPartitioned"]]
        started = time.monotonic()
        parameters = {"assetSelection": wanted, "partitionNames": list(directors)}
        answer = server.ask(BACKFILL, p=parameters)["launchPartitionBackfill"]
        if answer["__typename"] != "LaunchBackfillSuccess":
            raise RuntimeError(f"the backfill was refused: {answer}")
        return {**told, "backfill_launch_s": time.monotonic() - started}


def _median(ask: Any) -> float:
    ask()
    times = []
    for _ in range(TIMES):
        started = time.monotonic()
        ask()
        times.append(time.monotonic() - started)
    return sorted(times)[TIMES // 2]
