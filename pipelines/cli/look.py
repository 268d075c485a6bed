"""Looking at a root of a recipe, so that what depends on it is stale where a person has changed it.

Belongs here: that one run.
"""

import sys

import dagster as dg

from pipelines.build import build_definitions
from pipelines.cli.in_process import errors_of, run_job
from pipelines.home import prepare_home
from pipelines.jobs import LOOK_AT_INPUTS
from pipelines.surroundings import Surroundings


def look_at(surroundings: Surroundings, recipe: str, director: str, root: str) -> int:
    """Materialize a root, which is what Dagster compares with.  Returns the command's exit code."""
    definitions = build_definitions(surroundings)
    with prepare_home(surroundings) as instance:
        result = run_job(definitions, instance, LOOK_AT_INPUTS, [dg.AssetKey([recipe, root])], partition=director)
    for error in errors_of(result):
        print(f"director: {error}", file=sys.stderr)
    return 0 if result.success else 1
