"""A real Dagster webserver and daemon in a process group of their own, and its GraphQL as plain functions."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import requests

from pipelines.surroundings import CHECKOUT

LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } ... on PresetNotFoundError { message } } }"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
NODES = """query { assetNodes { assetKey { path } isPartitioned
  assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions } } } }"""
STALE = """query($keys: [AssetKeyInput!], $partition: String) { assetNodes(assetKeys: $keys) { assetKey { path }
  staleStatus(partition: $partition) staleCauses(partition: $partition) { category reason key { path } } } }"""
BACKFILL = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
BACKFILL_STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status error { message } } } }"""
OBSERVATIONS = """query($asset: AssetKeyInput!) { assetOrError(assetKey: $asset) {
  ... on Asset { assetObservations(limit: 1000) { partition runId } } } }"""
LOCATIONS = (
    "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError { __typename } } } } }"
)


class DagsterServer:
    """`director dev` on a free port, over the project in `folder`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]):
        self.folder, self.environment, self.port = folder, {**os.environ, **environment}, _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (folder / "server.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli.main", "dev", "--port", str(self.port)],
            cwd=CHECKOUT,
            env=self.environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Of the process, and of the group of all that it starts."""
        return self._process.pid

    def wait_until_ready(self, timeout_s: float = 180) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log()
            try:
                entries = self.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
            except requests.ConnectionError:
                time.sleep(0.5)
                continue
            if entries and all(entry["loadStatus"] == "LOADED" for entry in entries):
                assert entries[0]["locationOrLoadError"]["__typename"] == "RepositoryLocation", self.log()
                return
            time.sleep(0.5)
        raise AssertionError(f"the UI was not ready in {timeout_s} s:\n{self.log()}")

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    def launch(self, job: str, partition: str, assets: Sequence[str] = ()) -> str:
        """Launch a job (or some assets of it) for one partition, as the UI does.  Returns the run's id."""
        selector: dict[str, Any] = {
            "repositoryLocationName": "director-diffusion",
            "repositoryName": "__repository__",
            "jobName": job,
        }
        if assets:
            selector["assetSelection"] = [{"path": name.split("/")} for name in assets]
        parameters = {
            "selector": selector,
            "runConfigData": {},
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition}]},
        }
        launched = self.ask(LAUNCH, p=parameters)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def status(self, run_id: str) -> str:
        return str(self.ask(STATUS, id=run_id)["runOrError"]["status"])

    def run(self, job: str, partition: str, assets: Sequence[str] = (), timeout_s: float = 300) -> str:
        """Launch and wait for success.  Returns the run's id."""
        run_id = self.launch(job, partition, assets)
        self._wait(lambda: self.status(run_id), {"SUCCESS"}, {"FAILURE", "CANCELED"}, timeout_s)
        return run_id

    def launch_backfill(self, assets: Sequence[str], partitions: Sequence[str]) -> str:
        """Launch a backfill, as the UI does for several partitions.  Returns its id."""
        selection = [{"path": name.split("/")} for name in assets]
        parameters = {"assetSelection": selection, "partitionNames": list(partitions)}
        launched = self.ask(BACKFILL, p=parameters)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def wait_for_backfill(self, backfill_id: str, timeout_s: float = 300) -> None:
        """Wait until the daemon has taken the backfill to its end, with success."""

        def status() -> str:
            backfill = self.ask(BACKFILL_STATUS, id=backfill_id)["partitionBackfillOrError"]
            assert not backfill["error"], backfill["error"]
            return str(backfill["status"])

        self._wait(status, {"COMPLETED_SUCCESS"}, {"COMPLETED_FAILED", "FAILED", "CANCELED"}, timeout_s)

    def _wait(self, status: Callable[[], str], good: Set[str], bad: Set[str], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while (now := status()) not in good:
            assert now not in bad, f"{now}:\n{self.log()}"
            assert time.monotonic() < deadline, f"{now} after {timeout_s} s:\n{self.log()}"
            time.sleep(0.5)

    def observations(self, asset: str, run_id: str) -> list[str]:
        """Partitions of the observations that a run logged of an asset, one per observation."""
        logged = self.ask(OBSERVATIONS, asset={"path": asset.split("/")})["assetOrError"]["assetObservations"]
        return [entry["partition"] for entry in logged if entry["runId"] == run_id]

    def stale(self, partition: str) -> set[str]:
        """Names of the assets that the UI calls stale for a partition."""
        keys = [{"path": name.split("/")} for name in self.materialized()]
        nodes = self.ask(STALE, keys=keys, partition=partition)["assetNodes"]
        return {"/".join(node["assetKey"]["path"]) for node in nodes if node["staleStatus"] == "STALE"}

    def materialized(self) -> dict[str, set[str]]:
        """Materialized partitions by asset, of those that have partitions."""
        nodes = self.ask(NODES)["assetNodes"]
        return {
            "/".join(node["assetKey"]["path"]): set(node["assetPartitionStatuses"]["materializedPartitions"])
            for node in nodes
            if node["isPartitioned"]
        }

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")[-6000:]

    def stop(self) -> None:
        for sign, patience_s in ((signal.SIGTERM, 5), (signal.SIGKILL, 10)):
            try:
                os.killpg(self._process.pid, sign)
                self._process.wait(patience_s)
                break
            except subprocess.TimeoutExpired:
                continue
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what outlived its parent
        self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
