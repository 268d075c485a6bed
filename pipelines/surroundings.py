"""Surroundings: what environment variables and the place of the checkout decide.

Belongs here: the one reading of the environment.  Everything below this floor is told what it needs.

    DIRECTOR_PROJECT     which project of configs/projects (default: demo)
    DIRECTOR_DEPLOYMENT  which deployment of configs/deployments (default: local)
    DIRECTOR_CONFIGS     the folder of configs (default: configs/ of this checkout)
    DIRECTOR_STORE       folder or URL of the store (default: the deployment's)
    DIRECTOR_STORE_CACHE     folder of what was read of a bucket (default: the deployment's)
    DIRECTOR_STORE_CACHE_GB  how much of it is kept (default: the deployment's)
    DAGSTER_HOME         Dagster's own records (default: .director/dagster beside configs/)
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from director_diffusion.catalog import Catalog, load_catalog
from director_diffusion.errors import SpecError
from director_diffusion.specs import Deployment, Project, StoreCache
from director_diffusion.storage import Store
from director_diffusion.storage.read_cache import ReadCache

CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Surroundings:
    """Everything a process of this project needs to know of where it is."""

    catalog: Catalog
    project: Project
    deployment: Deployment
    root: Path  # what relative folders in specs are relative to
    store_url: str
    store_cache: Path
    store_cache_bytes: int
    model_cache: Path
    dagster_home: Path

    def store(self) -> Store:
        """The store, for what runs no graph."""
        kept = ReadCache(self.store_cache, self.store_cache_bytes) if self.store_cache_bytes else None
        return Store(self.store_url, cache=kept)

    @property
    def hub_url(self) -> str:
        """The hub's endpoint; or where the folder hub lies: as the deployment says, else inside the store."""
        hub = self.deployment.hub
        if hub.kind == "hub":
            return hub.endpoint
        return f"{self.store_url.rstrip('/')}/hub" if hub.folder is None else _place(hub.folder, self.root)

    @property
    def deliver_to(self) -> str | None:
        """Where live adapters are delivered to; None: nowhere."""
        folder = self.deployment.deliver_to
        return None if folder is None else _place(folder, self.root)

    @property
    def votes_url(self) -> str | None:
        """The ledger of votes: as the deployment says, else a file in a local store; None beside a bucket."""
        url = self.deployment.votes
        if url is None:
            folder = self._votes_folder
            return None if folder is None else f"sqlite:///{folder / 'votes.sqlite'}"
        head, separator, path = url.partition(":///")
        in_file = head.split("+")[0] == "sqlite" and separator
        return f"{head}:///{(self.root / Path(path).expanduser()).resolve()}" if in_file else url

    @property
    def votes_key(self) -> Path:
        """The file of the voting booth's key, on this machine's disk: never on a bucket."""
        return (self._votes_folder or self.root / ".director") / "votes.key"

    @property
    def _votes_folder(self) -> Path | None:
        protocol, _, path = self.store_url.rpartition("://")
        return Path(path) / "votes" if protocol in ("", "file", "local") else None


def read_surroundings(environment: Mapping[str, str] = os.environ) -> Surroundings:
    """Read the environment.  Raises SpecError where it names something that is not there."""
    configs = Path(environment.get("DIRECTOR_CONFIGS") or CHECKOUT / "configs").expanduser().resolve()
    catalog = load_catalog(configs)
    project = catalog.project(environment.get("DIRECTOR_PROJECT") or "demo")
    deployment = catalog.deployment(environment.get("DIRECTOR_DEPLOYMENT") or "local")
    root = configs.parent
    home = environment.get("DAGSTER_HOME")
    return Surroundings(
        catalog=catalog,
        project=project,
        deployment=deployment,
        root=root,
        store_url=_place(environment.get("DIRECTOR_STORE") or deployment.store, root),
        store_cache=_store_cache(deployment, root, environment),
        store_cache_bytes=_store_cache_bytes(deployment, environment),
        model_cache=_model_cache(deployment, root, environment),
        dagster_home=Path(home).expanduser().resolve() if home else root / ".director" / "dagster",
    )


def limit_threads(surroundings: Surroundings) -> None:
    """Hold this process's arithmetic to the deployment's threads; OpenMP reads it once, so before torch is imported."""
    threads = surroundings.deployment.cpu_threads
    if threads is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def _place(url: str, root: Path) -> str:
    """A URL as it is; a folder as an absolute path."""
    return url if "://" in url else str((root / Path(url).expanduser()).resolve())


def _model_cache(deployment: Deployment, root: Path, environment: Mapping[str, str]) -> Path:
    if deployment.model_cache is not None:
        return (root / Path(deployment.model_cache).expanduser()).resolve()
    return _users_cache(environment)


def _store_cache(deployment: Deployment, root: Path, environment: Mapping[str, str]) -> Path:
    folder = environment.get("DIRECTOR_STORE_CACHE") or deployment.store_cache.folder
    return (root / Path(folder).expanduser()).resolve() if folder else _users_cache(environment) / "store"


def _store_cache_bytes(deployment: Deployment, environment: Mapping[str, str]) -> int:
    given = environment.get("DIRECTOR_STORE_CACHE_GB")
    if not given:
        return deployment.store_cache.limit
    try:
        return StoreCache(gigabytes=float(given)).limit
    except ValueError as error:
        raise SpecError(
            "DIRECTOR_STORE_CACHE_GB", f"is {given!r}", "Give a number of gigabytes, 0 for none."
        ) from error


def _users_cache(environment: Mapping[str, str]) -> Path:
    cache = environment.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "director-diffusion"
