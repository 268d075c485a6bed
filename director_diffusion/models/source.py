"""Sources: from what a spec says about a model to a fingerprint and to a local folder.

Belongs here: the dispatch over the kinds of source, and the names of built parts in the cache.  Imports no torch, so
that keys can be computed without it.
"""

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from director_diffusion.errors import BusyError, ModelError
from director_diffusion.hashing import hash_data, short
from director_diffusion.models.disk import explain_disk
from director_diffusion.models.folder import fingerprint_folder
from director_diffusion.models.hub import download, pinned
from director_diffusion.progress import Progress
from director_diffusion.specs import Base, BuiltSource, FolderSource, HubSource

BUILD_WAIT_S = 1800.0  # a part is built in minutes; who waits longer waits for something stuck

_BUILD_STEPS = {
    "base": ("vae_steps", "denoiser_steps"),
    "captioner": (),
    "embedder": ("embedder_steps",),
}


def fingerprint(source: HubSource | FolderSource | BuiltSource, *, root: Path, cache: Path) -> str:
    """What names the content of a model, known before it is there.

    The same on every machine: a folder counts by its files' names and contents, not by its place. `root` is what
    relative folders start from, `cache` keeps the memo of files hashed before. Raises ModelError where a folder is
    absent or a revision is not pinned.
    """
    if isinstance(source, HubSource):
        return f"{source.repo}@{pinned(source)}" + (f":{source.weights}" if source.weights else "")
    if isinstance(source, FolderSource):
        return fingerprint_folder(_existing(source, root), memo=cache / "folder-hashes.json")
    return _built_name(source)


def resolve(
    source: HubSource | FolderSource | BuiltSource, *, root: Path, cache: Path, token: str | None, progress: Progress
) -> Path:
    """A local folder with the model's files: found, downloaded or built, the latter two kept below `cache`.

    Raises ModelError (naming the model and the way out), TransientError for what is likely to pass, BusyError where
    another process has been building the same part for very long.
    """
    if isinstance(source, FolderSource):
        return _existing(source, root)
    with explain_disk(cache):
        cache.mkdir(parents=True, exist_ok=True)
        if isinstance(source, HubSource):
            return download(source, cache=hub_cache(cache), token=token)
        return _build(source, cache, progress)


def resolve_base(base: Base, *, root: Path, cache: Path, token: str | None, progress: Progress) -> Path:
    """As `resolve`, for a base: also raises ModelError, naming the component, where the folder is not a whole base."""
    from director_diffusion.families import get_family

    folder = resolve(base.source, root=root, cache=cache, token=token, progress=progress)
    get_family(base.family).check_folder(folder)
    return folder


def hub_cache(cache: Path) -> Path:
    """Where snapshots of the Hub lie in a model cache."""
    return cache / "hub"


def built_folder(source: BuiltSource, cache: Path) -> Path:
    """Where a built part lies once it is whole."""
    return cache / _built_name(source)


def _built_name(source: BuiltSource) -> str:
    from director_diffusion.mini.version import BUILDER_VERSION

    settings = {name: getattr(source, name) for name in ("seed", *_BUILD_STEPS[source.part])}
    return f"{source.part}-{short(hash_data({'builder': BUILDER_VERSION, **settings}))}"


def _existing(source: FolderSource, root: Path) -> Path:
    folder = root / Path(source.folder).expanduser()
    if not folder.is_dir():
        raise ModelError(
            source.folder,
            f"is not a folder (looked for {folder})",
            "Put the model there, or mend `folder` in its spec.",
        )
    return folder


def _build(source: BuiltSource, cache: Path, progress: Progress) -> Path:
    """Build a part beside its place and move it there whole; one process at a time, others wait and find it."""
    folder = built_folder(source, cache)
    if folder.is_dir():
        return folder
    try:
        with FileLock(cache / f"{folder.name}.lock", timeout=BUILD_WAIT_S):
            if folder.is_dir():
                return folder
            from director_diffusion.mini.build import build_part

            unfinished = cache / f".building-{folder.name}"  # ours alone while we hold the lock
            shutil.rmtree(unfinished, ignore_errors=True)  # what a killed build left
            build_part(source, unfinished, progress)
            unfinished.rename(folder)
    except Timeout as timeout:
        raise BusyError(
            folder.name, "is still being built by another process", "Wait for it to end, or end it, then run again."
        ) from timeout
    return folder
