"""The manifest of a trained set: what each of its files should be.

Belongs here: writing it, and telling whether files still are so.  Imports no torch.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from director_diffusion.errors import ModelError
from director_diffusion.hashing import hash_file
from director_diffusion.storage.artifact import describe_files

MANIFEST = "manifest.json"


def write_manifest(base: str, keys: Mapping[str, str], folder: Path) -> None:
    """Size and SHA-256 of every file below `folder`, and the keys of the parts they are."""
    files = {file.name: {"size": file.size, "sha256": file.sha256} for file in describe_files(folder)}
    text = json.dumps({"base": base, "parts": dict(keys), "files": files}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def differing_files(folder: Path, part: str) -> list[str]:
    """Names of files of one part (a folder of the set) that are not as the set's manifest says, sorted.

    Those that are missing and those that it does not know are among them.  Raises ModelError where it cannot be read.
    """
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        wanted = {name: entry["sha256"] for name, entry in said.items() if name.startswith(f"{part}/")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            str(folder / MANIFEST), "cannot be read", "Check the set out again, or export it again: director build-base"
        ) from error
    there = {path.relative_to(folder).as_posix() for path in (folder / part).rglob("*") if path.is_file()}
    changed = {name for name in there & set(wanted) if hash_file(folder / name) != wanted[name]}
    return sorted((there ^ set(wanted)) | changed)
