"""Repositories: what a command is given by name: a file, a folder, or a repository of the deployment's hub.

Belongs here: fetching a published repository's files, from a server or a folder.
"""

import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from director_diffusion.models.token import TOKEN_VARIABLE
from director_diffusion.storage import Store
from director_diffusion.tracing.given import check_repository, copy_from_folder
from pipelines.surroundings import Surroundings


@contextmanager
def downloaded(surroundings: Surroundings, repo_id: str, files: Collection[str]) -> Iterator[Path]:
    """A folder with those of `files` that a published repository has.  Raises PublishError where there is none."""
    hub = surroundings.deployment.hub
    check_repository(repo_id, surroundings.hub_url)
    with tempfile.TemporaryDirectory(prefix="director-repository-") as folder:
        if hub.kind == "hub":
            from director_diffusion.models.hub import download_files

            token = os.environ.get(TOKEN_VARIABLE)
            download_files(repo_id, files, Path(folder), endpoint=hub.endpoint, token=token)
        else:
            copy_from_folder(Store(surroundings.hub_url), repo_id, Path(folder), files)
        yield Path(folder)
