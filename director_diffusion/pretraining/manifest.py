"""The manifest of a trained set: what each of its files should be.

Belongs here: writing it, and telling whether files still are so.  Imports no torch.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from director_diffusion.errors import ModelError
from director_diffusion.hashing import hash_file
from director_diffusion.storage.artifact import describe_files

MANIFEST = "manifest.json"


def write_manifest(base: str, keys: Mapping[str, str], folder: Path) -> None:
    """Size and SHA-256 of every file below `folder`, and the keys of the parts they are."""
    files = {file.name: {"size": file.size, "sha256": file.sha256} for file in describe_files(folder)}
    text = json.dumps({"base": base, "parts": dict(keys), "files": files}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def base_of(manifest: bytes | str) -> str:
    """The slug of the base whose set it is.  Raises ValueError for what is no manifest of a set."""
    return str(_entry(manifest, "base", str))


def files_of(manifest: bytes | str) -> dict[str, str]:
    """SHA-256 by file name.  Raises ValueError for what is no manifest of a set."""
    files = _entry(manifest, "files", dict)
    try:
        return {str(name): str(entry["sha256"]) for name, entry in files.items()}
    except (KeyError, TypeError) as error:
        raise ValueError("its files have no sha256") from error


def _entry(manifest: bytes | str, name: str, kind: type) -> Any:
    data = json.loads(manifest)
    if not (isinstance(data, dict) and isinstance(data.get(name), kind)):
        raise ValueError(f"it has no {name!r}")
    return data[name]


def differing_files(folder: Path, part: str) -> list[str]:
    """Names of files of one part (a folder of the set) that are not as the set's manifest says, sorted.

    Those that are missing and those that it does not know are among them.  Raises ModelError where it cannot be read.
    """
    try:
        said = files_of((folder / MANIFEST).read_text(encoding="utf-8"))
        wanted = {name: sha256 for name, sha256 in said.items() if name.startswith(f"{part}/")}
    except (OSError, ValueError) as error:
        raise ModelError(
            str(folder / MANIFEST), "cannot be read", "Check the set out again, or export it again: director build-base"
        ) from error
    there = {path.relative_to(folder).as_posix() for path in (folder / part).rglob("*") if path.is_file()}
    changed = {name for name in there & set(wanted) if hash_file(folder / name) != wanted[name]}
    return sorted((there ^ set(wanted)) | changed)
