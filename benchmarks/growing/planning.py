"""Planning: what the daemon thinks before a backfill of all directors and all stages has its first runs.

Run as a module it plans one for the project of its surroundings, as the daemon does: over a code server.
"""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import dagster as dg

LOCATION = "pipelines.definitions"


def planning(environment: Mapping[str, str]) -> dict[str, Any]:
    """Seconds of the first iteration, in which every director gets a run of all stages; and how many runs these are."""
    command = [sys.executable, "-m", "benchmarks.growing.planning"]
    result = subprocess.run(command, env=dict(environment), capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"planning a backfill: {result.stderr[-2000:]}")
    told = next(line for line in result.stdout.splitlines() if line.startswith("{"))  # among the code server's remarks
    return dict(json.loads(told))


def plan(instance: dg.DagsterInstance) -> dict[str, Any]:
    from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView, TemporalContext
    from dagster._core.execution.asset_backfill import AssetBackfillData, execute_asset_backfill_iteration_inner
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import ModuleTarget
    from dagster._time import get_current_datetime

    target = ModuleTarget(module_name=LOCATION, attribute=None, working_directory=None, location_name=None)
    with WorkspaceProcessContext(instance, target) as context:
        workspace = context.create_request_context()
        started, cpu, at = time.monotonic(), time.process_time(), time.time()
        graph = workspace.asset_graph
        keys = [key for key in graph.materializable_asset_keys if graph.get(key).is_partitioned]
        partitions = graph.get(keys[0]).partitions_def
        directors = partitions.get_partition_keys() if partitions is not None else []
        data = AssetBackfillData.from_asset_partitions(graph, directors, keys, instance, at, all_partitions=False)
        last = instance.event_log_storage.get_maximum_record_id()
        now = TemporalContext(effective_dt=get_current_datetime(), last_event_id=last)
        view = AssetGraphView(temporal_context=now, instance=instance, asset_graph=graph)
        result = execute_asset_backfill_iteration_inner("growth", data, view, at, logging.getLogger("growth"), None)
        return {
            "backfill_plan_s": time.monotonic() - started,
            "backfill_plan_cpu_s": time.process_time() - cpu,
            "backfill_runs": len(result.run_requests),
        }


def main() -> None:
    from pipelines.home import prepare_home
    from pipelines.surroundings import read_surroundings

    with prepare_home(read_surroundings()) as instance:
        print(json.dumps(plan(instance)))


if __name__ == "__main__":
    main()
