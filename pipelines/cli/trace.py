"""`director trace`: what an adapter was made of, and what a still went into.

Belongs here: finding what is meant.  Following it is `director_diffusion.tracing`'s, showing it `trace_tables`'.
"""

import json
from dataclasses import asdict
from pathlib import Path

from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.tracing.backward import trace_back
from director_diffusion.tracing.forward import trace_still
from director_diffusion.tracing.given import FILES, Given, given_file, given_repository
from pipelines.cli.in_process import quiet_libraries
from pipelines.cli.repositories import downloaded
from pipelines.cli.trace_tables import print_still, print_trace
from pipelines.surroundings import Surroundings, read_surroundings


def trace_command(given: str | None, *, still: str | None, as_json: bool) -> int:
    """Follow the lineage and show it; with `as_json` all of it."""
    quiet_libraries()
    surroundings = read_surroundings()
    ancestry = Ancestry(surroundings.store())
    if still is not None:
        uses = trace_still(still, ancestry)
        if as_json:
            print(json.dumps({**asdict(uses), "learned": [asdict(use) for use in uses.learned]}, indent=2))
        else:
            print_still(uses)
        return 0
    trace = trace_back(_given(surroundings, given or ""), ancestry)
    if as_json:
        print(json.dumps(asdict(trace), indent=2, ensure_ascii=False))
    else:
        print_trace(trace)
    return 0


def _given(surroundings: Surroundings, given: str) -> Given:
    """A file, a folder, or else a repository of the deployment's hub."""
    path = Path(given).expanduser()
    if path.is_file():
        return given_file(path)
    if path.is_dir():
        return given_repository(path, given)
    with downloaded(surroundings, given, FILES) as folder:
        return given_repository(folder, given)
