"""Sources: from what a spec says about a model to a fingerprint and to a local folder.

Belongs here: the dispatch over the kinds of source.  Imports no torch, so that keys can be computed without it.
"""

from collections.abc import Collection
from pathlib import Path
from typing import assert_never

from director_diffusion.errors import ModelError
from director_diffusion.models.disk import explain_disk
from director_diffusion.models.folder import fingerprint_folder
from director_diffusion.models.hub import download, pinned
from director_diffusion.models.single_file import (
    checkpoint_path,
    fingerprint_checkpoint,
    single_file_folder,
    source_name,
)
from director_diffusion.models.trained import fingerprint_trained, trained_folder
from director_diffusion.specs import Base, FolderSource, HubSource, SingleFileSource, Source, TrainedSource
from director_diffusion.storage import Store


def fingerprint(source: Source, *, root: Path, cache: Path, store: Store) -> str:
    """What names the content of a model, known before it is there.

    The same on every machine: a folder counts by its files' names and contents, not by its place. `root` is what
    relative folders start from, `cache` keeps the memo of files hashed before, `store` holds what was trained here.
    Raises ModelError where a folder is absent, a revision is not pinned or a base not trained.
    """
    match source:
        case HubSource():
            return f"{source.repo}@{pinned(source)}" + (f":{source.weights}" if source.weights else "")
        case FolderSource():
            return fingerprint_folder(_existing(source, root), memo=memo_of(cache))
        case TrainedSource():
            return fingerprint_trained(source, store)
        case SingleFileSource():
            rest = fingerprint(source.rest, root=root, cache=cache, store=store)
            return fingerprint_checkpoint(source, checkpoint_path(source, root), rest, memo=memo_of(cache))
        case _:
            assert_never(source)


def resolve(source: Source, *, root: Path, cache: Path, store: Store, token: str | None) -> Path:
    """A local folder with the model's files: found, or downloaded into `cache`.

    Raises ModelError (naming the model and the way out), TransientError for what is likely to pass.
    """
    match source:
        case FolderSource():
            return _existing(source, root)
        case HubSource():
            return _download(source, (), cache=cache, token=token)
        case TrainedSource():
            with explain_disk(cache):
                return trained_folder(source, store, cache=cache)
        case SingleFileSource():
            named = fingerprint(source, root=root, cache=cache, store=store)

            def rest(without: Collection[str]) -> Path:
                return resolve_rest(source.rest, without, root=root, cache=cache, token=token)

            with explain_disk(cache):
                return single_file_folder(source, checkpoint_path(source, root), rest, fingerprint=named, cache=cache)
        case _:
            assert_never(source)


def resolve_base(base: Base, *, root: Path, cache: Path, store: Store, token: str | None) -> Path:
    """As `resolve`, for a base: also raises ModelError, naming the component, where the folder is not a whole base."""
    from director_diffusion.families import get_family

    folder = resolve(base.source, root=root, cache=cache, store=store, token=token)
    try:
        get_family(base.family).check_folder(folder)
    except ModelError as error:
        if isinstance(base.source, SingleFileSource):  # not the cache's folder is to be mended
            thing = f"{base.source.file} with the rest of {source_name(base.source.rest)}"
            raise ModelError(thing, error.problem, error.way_out) from error
        raise
    return folder


def resolve_rest(
    source: HubSource | FolderSource, without: Collection[str], *, root: Path, cache: Path, token: str | None
) -> Path:
    """As `resolve`, for what is to lend its components but those `without`."""
    if isinstance(source, FolderSource):
        return _existing(source, root)
    return _download(source, without, cache=cache, token=token)


def memo_of(cache: Path) -> Path:
    """Where hashes of files seen before are remembered."""
    return cache / "folder-hashes.json"


def hub_cache(cache: Path) -> Path:
    """Where snapshots of the Hub lie in a model cache."""
    return cache / "hub"


def _download(source: HubSource, without: Collection[str], *, cache: Path, token: str | None) -> Path:
    with explain_disk(cache):
        cache.mkdir(parents=True, exist_ok=True)
        return download(source, cache=hub_cache(cache), token=token, without=without)


def _existing(source: FolderSource, root: Path) -> Path:
    try:
        folder = root / Path(source.folder).expanduser()
    except RuntimeError as error:  # nobody's home
        raise ModelError(source.folder, f"cannot be a folder: {error}", "Mend `folder` in its spec.") from error
    if not folder.is_dir():
        raise ModelError(
            source.folder,
            f"is not a folder (looked for {folder})",
            "Put the model there, or mend `folder` in its spec.",
        )
    return folder
