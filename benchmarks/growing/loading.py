"""Loading: what a fresh interpreter takes to import the definitions.

Run as a module it is that interpreter: it loads, and prints its peak memory and how many assets there are.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

TIMES = 3


def loading(environment: Mapping[str, str]) -> dict[str, Any]:
    """Wall and CPU seconds of a fresh interpreter, imports included: the best of three; and its peak memory."""
    walls, told = [], []
    for _ in range(TIMES):
        started = time.monotonic()
        command = [sys.executable, "-m", "benchmarks.growing.loading"]
        result = subprocess.run(command, env=dict(environment), check=True, capture_output=True, text=True)
        walls.append(time.monotonic() - started)
        told.append(json.loads(result.stdout))
    least = {name: min(one[name] for one in told) for name in ("load_cpu_s", "defs_cpu_s", "load_mib")}
    return {"load_s": min(walls), **least, "assets": told[0]["assets"]}


if __name__ == "__main__":
    import dagster  # noqa: F401  # apart, to tell its part from the project's

    before = time.process_time()
    import pipelines.definitions

    loaded = time.process_time()
    assets = len(pipelines.definitions.defs.resolve_asset_graph().get_all_asset_keys())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"load_cpu_s": loaded, "defs_cpu_s": loaded - before, "load_mib": peak, "assets": assets}))
