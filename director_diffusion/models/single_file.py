"""Single files: a checkpoint in one file as a base in diffusers' layout, converted once.

Belongs here: its fingerprint, and the folder in the model cache: components that the file holds are converted, the
others are links to `rest`'s.  What such files hold is `checkpoint`'s to say, how it is converted `conversion`'s; but
for a conversion nothing here imports torch.
"""

import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from filelock import FileLock

from director_diffusion.errors import ModelError
from director_diffusion.hashing import hash_data, short
from director_diffusion.models.checkpoint import read_checkpoint
from director_diffusion.models.folder import fingerprint_files
from director_diffusion.specs import FolderSource, HubSource, SingleFileSource

CONVERSION_VERSION = 1
"""Raise it when the same file would come out otherwise: it enters the fingerprint."""


def checkpoint_path(source: SingleFileSource, root: Path) -> Path:
    """Where the file is looked for."""
    return root / Path(source.file).expanduser()


def source_name(rest: HubSource | FolderSource) -> str:
    """What `rest` is called in words for people."""
    return rest.repo if isinstance(rest, HubSource) else rest.folder


def fingerprint_checkpoint(source: SingleFileSource, path: Path, rest: str, *, memo: Path) -> str:
    """Hash of the file's content, whatever its name, and of `rest`, the fingerprint of the components it lacks.

    Raises ModelError where the file is absent or may not be read.
    """
    if not path.is_file():
        read_checkpoint(path, source.file)  # which says why not
    try:
        content = fingerprint_files({"checkpoint": path}, memo=memo)
    except PermissionError as error:
        raise ModelError(source.file, "may not be read", "Give this user read access to it.") from error
    return hash_data({"conversion": CONVERSION_VERSION, "file": content, "rest": rest})


def converted_folder(fingerprint: str, cache: Path) -> Path:
    """Where what has that fingerprint is kept, or will be."""
    return cache / "single-files" / short(fingerprint)


def single_file_folder(
    source: SingleFileSource,
    path: Path,
    rest: Callable[[Collection[str]], Path],
    *,
    fingerprint: str,
    cache: Path,
) -> Path:
    """The file at `path` as a folder in diffusers' layout, converted if it has not been; to be read only.

    `rest` gives the folder of the other base; it may leave out weights of the components it is called with.  Raises
    ModelError, naming the file, where it does not go together with that.
    """
    checkpoint = read_checkpoint(path, source.file)
    lender = rest(list(checkpoint.components)).absolute()
    folder = converted_folder(fingerprint, cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f"{folder.name}.lock"):
        if not folder.is_dir():
            from director_diffusion.models.conversion import write_components

            partial = folder.with_name(f".{folder.name}")
            shutil.rmtree(partial, ignore_errors=True)  # what a killed conversion left
            partial.mkdir()
            write_components(checkpoint, lender, partial, name=source.file, rest_name=source_name(source.rest))
            partial.rename(folder)
        _lend(lender, folder)
    return folder


def _lend(lender: Path, folder: Path) -> None:
    """Links in `folder` to everything of `lender` that it has not itself; those to where `lender` once was go."""
    for path in folder.iterdir():
        if path.is_symlink() and path.readlink().parent != lender:
            path.unlink()
    for path in lender.iterdir():
        here = folder / path.name
        if not path.name.startswith(".") and not here.exists():
            here.unlink(missing_ok=True)
            here.symlink_to(path)
