"""Dagster's home and the store, made ready: one for `director run`, `make dev` and the Dagster CLI.

Belongs here: what must be there before the first run: DAGSTER_HOME with its settings, the pool's limit, and placeholder
stills in an empty store where the project asks for them.
"""

import os
from collections.abc import Callable

import dagster as dg
from filelock import FileLock

from director_diffusion.errors import StoreError
from director_diffusion.progress import Progress
from director_diffusion.storage.disk import refused_by_disk
from pipelines.dagster_settings import explained, settle
from pipelines.surroundings import Surroundings
from resources.needs import GPU


def prepare_home(surroundings: Surroundings) -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME, which is made where it does not exist.  Raises StoreError where it cannot be, or is
    another than the deployment asks for."""
    home = surroundings.dagster_home
    os.environ["DAGSTER_HOME"] = str(home)
    try:
        home.mkdir(parents=True, exist_ok=True)
        # Of processes that make the tables at the same time, Dagster lets one win and the others fail.
        with FileLock(home / "opening.lock"), explained(home):
            settle(surroundings)
            instance = dg.DagsterInstance.get()
    except OSError as error:
        raise refused_by_disk(error) or StoreError(
            f"DAGSTER_HOME {home}", f"cannot be made: {error.strerror}", "Give a folder that this user may write to."
        ) from error
    if surroundings.deployment.gpus:
        instance.event_log_storage.set_concurrency_slots(GPU, surroundings.deployment.gpus)
    return instance


def prepare_store(surroundings: Surroundings, progress: Callable[[], Progress]) -> int:
    """Draw placeholder stills where the project asks for them and the store has none.  Returns how many."""
    spec = surroundings.project.placeholder_stills
    if spec is None:
        return 0
    from director_diffusion.scenes.placeholders import fill_placeholder_stills

    slugs = [director.slug for director in surroundings.catalog.project_directors(surroundings.project)]
    return fill_placeholder_stills(surroundings.store(), slugs, spec, progress())
