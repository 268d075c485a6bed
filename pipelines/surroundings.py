"""Surroundings: what environment variables, the working folder and the place of the checkout decide.

Belongs here: the one reading of what chooses and places.  Everything below this floor is told what it needs, but for
what is secret, which is read where it is used and kept nowhere: HF_TOKEN (where the Hub is asked), AWS_… (by s3fs),
the addresses of database and webhook below.

    DIRECTOR_PROJECT     which project of configs/projects (default: the only one there, else demo)
    DIRECTOR_DEPLOYMENT  which deployment of configs/deployments (default: the only one there, else local)
    DIRECTOR_CONFIGS     the folder of configs (default: configs/ here or in a folder above, else that of this checkout)
    DIRECTOR_STORE       folder or URL of the store (default: the deployment's)
    DIRECTOR_STORE_CACHE     folder of what was read of a bucket (default: the deployment's)
    DIRECTOR_STORE_CACHE_GB  how much of it is kept (default: the deployment's)
    DIRECTOR_DEVICES     the folder of device leases, one for all who share this machine's GPUs (default: one of this
                         user's under /var/tmp)
    DAGSTER_HOME         Dagster's own records (default: .director/dagster beside configs/)
    DIRECTOR_DAGSTER_POSTGRES_URL  those records' database, where `dagster: postgres`; Dagster itself reads it
    DIRECTOR_WEBHOOK     where alerts are posted to (default: nowhere)
    DIRECTOR_UI          the UI that `director add` reloads (default: 127.0.0.1:3000; read in `ui_reload`)
    DIRECTOR_UI_LINK     where people open it: links of alerts (default: http://DIRECTOR_UI; read in `ui_reload`)
    XDG_CACHE_HOME       where a user's caches of models and of the store lie (default: ~/.cache)
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
from resources.secrets import WEBHOOK_VARIABLE

CHECKOUT = Path(__file__).resolve().parents[1]
_PACKED = Path(__file__).resolve().with_name("shipped")  # by setup.py, into the wheel


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
    leases: Path  # of this machine's devices, whatever the store
    alerted: bool = False  # whether there is a webhook; its address stays in the environment, where the UI shows it not

    def store(self) -> Store:
        """The store, for what runs no graph."""
        kept = ReadCache(self.store_cache, self.store_cache_bytes) if self.store_cache_bytes else None
        return Store(self.store_url, cache=kept)

    @property
    def retold(self) -> dict[str, str]:
        """What a step on another machine, with the same image or the same folders, is told; never a secret."""
        threads = self.deployment.cpu_threads
        return {
            "DIRECTOR_PROJECT": self.project.slug,
            "DIRECTOR_DEPLOYMENT": self.deployment.slug,
            "DIRECTOR_CONFIGS": str(self.catalog.folder),
            "DIRECTOR_STORE": self.store_url,
            **({} if threads is None else {"OMP_NUM_THREADS": str(threads)}),
        }

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
        return f"{head}:///{_below(path, self.root)}" if in_file else url

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
    named = environment.get("DIRECTOR_CONFIGS")
    configs = _below(named) if named else _configs_at(Path.cwd())
    catalog = load_catalog(configs)
    project = catalog.project(environment.get("DIRECTOR_PROJECT") or _usual(catalog.projects, "demo"))
    deployment = catalog.deployment(environment.get("DIRECTOR_DEPLOYMENT") or _usual(catalog.deployments, "local"))
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
        dagster_home=_below(home) if home else root / ".director" / "dagster",
        alerted=bool(environment.get(WEBHOOK_VARIABLE)),
        leases=_leases(environment),
    )


def shipped() -> Path:
    """The folder of what came with this project: configs, models and workspace.yaml; never to be written to."""
    return _PACKED if _PACKED.is_dir() else CHECKOUT


def _configs_at(folder: Path) -> Path:
    """The nearest `configs/` from `folder` upwards, else the checkout's.  Raises SpecError where there is none."""
    for parent in (folder, *folder.parents, CHECKOUT):
        configs = parent / "configs"
        if (configs / "projects").is_dir() and (configs / "deployments").is_dir():
            return configs
    raise SpecError(
        "configs/",
        f"is neither in {folder} nor above it",
        "Go to the folder that `director init` made, or point DIRECTOR_CONFIGS at one of configs.",
    )


def _usual(specs: Mapping[str, object], usual: str) -> str:
    return next(iter(specs)) if len(specs) == 1 else usual


def limit_threads(surroundings: Surroundings) -> None:
    """Hold this process's arithmetic to the deployment's threads; OpenMP reads it once, so before torch is imported."""
    threads = surroundings.deployment.cpu_threads
    if threads is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def _place(url: str, root: Path) -> str:
    """A URL as it is; a folder as an absolute path."""
    return url if "://" in url else str(_below(url, root))


def _below(folder: str, root: Path | None = None) -> Path:
    """A path as somebody wrote it, from `root` where it is relative.  Raises SpecError for one that there cannot be."""
    try:
        return ((root or Path()) / Path(folder).expanduser()).resolve()
    except (RuntimeError, ValueError, OSError) as error:  # nobody's home, a NUL, a name too long or a circle of links
        raise SpecError(repr(folder), f"cannot be a path: {error}", "Write another.") from error


def _leases(environment: Mapping[str, str]) -> Path:
    """One folder for all processes of a user: what may differ between sessions, such as TMPDIR, is not asked."""
    folder = environment.get("DIRECTOR_DEVICES")
    return _below(folder) if folder else Path("/var/tmp") / f"director-devices-{os.getuid()}"


def _model_cache(deployment: Deployment, root: Path, environment: Mapping[str, str]) -> Path:
    if deployment.model_cache is not None:
        return _below(deployment.model_cache, root)
    return _users_cache(environment)


def _store_cache(deployment: Deployment, root: Path, environment: Mapping[str, str]) -> Path:
    folder = environment.get("DIRECTOR_STORE_CACHE") or deployment.store_cache.folder
    return _below(folder, root) if folder else _users_cache(environment) / "store"


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
