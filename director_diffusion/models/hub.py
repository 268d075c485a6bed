"""The Hub: snapshots of pinned revisions, and what its refusals mean.

Belongs here: downloading from the Hugging Face Hub.  Publishing to it does not.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director_diffusion.errors import DirectorError, ModelError, TransientError
from director_diffusion.models.token import TOKEN_VARIABLE, is_well_formed
from director_diffusion.specs import HubSource

TIMEOUT_S = 30.0  # for each connection and each read; huggingface_hub itself sets none for most requests

_WEIGHTS = ("*.safetensors", "*.safetensors.index*.json", "*.bin", "*.bin.index*.json", "*.msgpack", "*.onnx*")
_ONE_FILE_COMPANIONS = ("*.json", "*.txt", "*.model")  # configs and tokenizers beside a single weights file
_PIPELINE = ("model_index.json", *(f"*/*.{kind}" for kind in ("json", "txt", "model", "safetensors")))
_VARIANTS = ("*.fp16.*", "*.non_ema.*")  # further copies of a pipeline's weights, which nothing here loads


def download(source: HubSource, *, cache: Path, token: str | None, without: Collection[str] = ()) -> Path:
    """The folder of a repository's snapshot, downloaded as far as it is not in `cache` yet; resumes where it stopped.

    Weights of the components `without` are left where they are.  Without a token, huggingface_hub's own login is used.
    A whole snapshot is found again without any request, so pinned models work offline.  Raises ModelError or
    TransientError; the token stands in no message.
    """
    revision = pinned(source)
    bound_requests()
    with _explained(source.repo, revision):
        folder = _snapshot(source, cache=cache, token=_checked(token), without=without)
    if source.weights and not (folder / source.weights).is_file():
        raise ModelError(
            f"{source.repo}@{revision[:8]}", f"has no file {source.weights!r}", "Mend `weights` in its spec."
        )
    return folder


def download_data(repo: str, revision: str, folder: str, *, cache: Path, token: str | None) -> Path:
    """The folder `folder` ("" for all) of a data set at a pinned revision; else as `download`."""
    from huggingface_hub import snapshot_download

    bound_requests()
    with _explained(repo, revision, "datasets/"):
        snapshot = snapshot_download(
            repo,
            repo_type="dataset",
            revision=revision,
            cache_dir=cache,
            token=_checked(token),
            etag_timeout=TIMEOUT_S,
            allow_patterns=[f"{folder.strip('/')}/*" if folder else "*"],
        )
    return Path(snapshot) / folder


def download_files(repo: str, files: Collection[str], folder: Path, *, endpoint: str, token: str | None) -> None:
    """Those of `files` that a repository's main branch has, on any endpoint, into `folder`; raises as `download`."""
    from huggingface_hub import snapshot_download

    bound_requests()
    with _explained(repo, "main", endpoint=endpoint):
        snapshot_download(
            repo,
            endpoint=endpoint,
            local_dir=folder,
            token=_checked(token),
            etag_timeout=TIMEOUT_S,
            allow_patterns=list(files),
        )


def is_downloaded(source: HubSource, *, cache: Path, without: Collection[str] = ()) -> bool:
    """Whether `download` would find all that it is to fetch in `cache`; asks nobody."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        _snapshot(source, cache=cache, token=None, without=without, local_files_only=True)
    except LocalEntryNotFoundError:
        return False
    return True


def pinned(source: HubSource) -> str:
    """The revision of a source.  Raises ModelError where its spec has none."""
    if source.revision is None:
        raise ModelError(
            source.repo,
            "has no pinned revision, so what it holds may change unseen",
            "Run `director pin`, or set `revision` to a commit.",
        )
    return source.revision


def newest_revision(repo: str, *, token: str | None) -> str:
    """The commit that a repository's main branch is at.  Raises as `download` does."""
    from huggingface_hub import HfApi

    bound_requests()
    with _explained(repo, "main"):
        return str(HfApi(token=_checked(token)).model_info(repo, timeout=TIMEOUT_S).sha)


def bound_requests() -> None:
    """Give every request of huggingface_hub in this process a timeout where it has none.

    A hook is needed: its paginated listings pass `timeout=None`, which overrules a default of the session's.  So is
    the factory of sessions: after a connection error it closes the one it has and makes another.
    """
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    if not isinstance(usual := _http._GLOBAL_CLIENT_FACTORY, _Bounded):
        set_client_factory(_Bounded(usual))


@dataclass(frozen=True)
class _Bounded:
    """A factory of HTTP clients of which every request has a timeout."""

    usual: Callable[[], Any]

    def __call__(self) -> Any:
        client = self.usual()
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "request": [*hooks["request"], _bound_request]}
        return client


def _snapshot(
    source: HubSource, *, cache: Path, token: str | None, without: Collection[str], local_files_only: bool = False
) -> Path:
    from huggingface_hub import snapshot_download

    def fetch(wanted: list[str]) -> Path:
        return Path(
            snapshot_download(
                source.repo,
                revision=pinned(source),
                cache_dir=cache,
                token=token,
                etag_timeout=TIMEOUT_S,
                allow_patterns=wanted,
                ignore_patterns=[
                    *_VARIANTS,
                    *(f"{component}/{weights}" for component in without for weights in _WEIGHTS),
                ],
                local_files_only=local_files_only,
            )
        )

    if source.weights:
        return fetch([source.weights, *_ONE_FILE_COMPANIONS])
    # A pipeline's repository holds its weights twice: in parts, and as one file at the top that nothing here loads.
    is_pipeline = (fetch(["model_index.json"]) / "model_index.json").exists()
    return fetch(list(_PIPELINE) if is_pipeline else ["*"])


@contextmanager
def _explained(repo: str, revision: str, kind: str = "", *, endpoint: str | None = None) -> Iterator[None]:
    """Say what a failed request means for whoever asked; without an `endpoint`, of huggingface_hub's own."""
    from httpx2 import HTTPError
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        XetDownloadError,
    )

    try:
        yield
    except HFValidationError as error:
        raise ModelError(repo, "is no name of a repository", "Write it as owner/name.") from error
    except (HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, XetDownloadError) as error:
        page = f"{(endpoint or constants.ENDPOINT).rstrip('/')}/{kind}{repo}"
        # Without the error itself, which Dagster would keep: it quotes the server, and a server may quote the token.
        raise _meaning(error, f"{repo}@{revision[:8]}", page) from None


def _meaning(error: Exception, name: str, page: str) -> DirectorError:
    from huggingface_hub.errors import (
        DisabledRepoError,
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    cause = _root(error)
    if isinstance(cause, GatedRepoError):
        return ModelError(
            name,
            "is gated: its licence has not been accepted by this user",
            f"Accept it at {page}, then set HF_TOKEN to a token of that account that may read gated repositories.",
        )
    if isinstance(cause, RevisionNotFoundError):
        return ModelError(name, "has no such revision", f"Take a commit from {page}/commits/main into `revision`.")
    if isinstance(cause, DisabledRepoError):
        return ModelError(name, "has been disabled by the Hub", "Choose another model.")
    if isinstance(cause, OfflineModeIsEnabled):
        return ModelError(
            name,
            "is not wholly in the model cache, and huggingface_hub is in offline mode",
            "Unset HF_HUB_OFFLINE, or give a folder that holds the model.",
        )
    status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
    if isinstance(cause, RepositoryNotFoundError) or status in (401, 403, 404):
        return ModelError(
            name,
            f"was not found, or this user may not read it (HTTP {status})",
            f"Check the name at {page}; for a private or gated one set HF_TOKEN to a valid token that may read it.",
        )
    if status is not None and status < 500 and status not in (408, 429):
        return ModelError(name, f"was refused by the Hub (HTTP {status})", f"Look at {page}.")
    reason = f"HTTP {status}" if status is not None else type(cause).__name__
    return TransientError(
        name,
        f"could not be downloaded ({reason})",
        "Check the network and run again (it resumes where it stopped), or give a folder that holds the model.",
    )


def _root(error: BaseException) -> BaseException:
    """The refusal itself: huggingface_hub wraps it into 'not in the cache either', with the refusal as its cause."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    while isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _bound_request(request: Any) -> None:
    limits = request.extensions.get("timeout") or {}
    request.extensions["timeout"] = {
        kind: limits.get(kind) if limits.get(kind) is not None else TIMEOUT_S
        for kind in ("connect", "read", "write", "pool")
    }


def _checked(token: str | None) -> str | None:
    """The token, or None for huggingface_hub's own login; a malformed one would be quoted in HTTP errors."""
    if token and not is_well_formed(token):
        raise ModelError(TOKEN_VARIABLE, "holds white space or special characters", "Set it again, without them.")
    return token or None
