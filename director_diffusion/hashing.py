"""Hashes: of plain data, of files and of folders.

Belongs here: the one way this project turns content into a name. All are SHA-256, written in lower-case hex.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

SHORT = 16  # hex digits (64 bits): enough to name things of one store


def hash_bytes(data: bytes) -> str:
    """SHA-256, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def hash_data(value: Any) -> str:
    """Hash of plain data (dicts, lists, strings, numbers, pydantic models), independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain, allow_nan=False)
    return hash_bytes(text.encode())


def hash_file(path: Path) -> str:
    """SHA-256 of the content, 64 hex digits; read in pieces, so of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path) -> str:
    """Hash of names and contents of all files below `folder`, whatever their order or times."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hash_data({path.relative_to(folder).as_posix(): hash_file(path) for path in files})


def short(digest: str) -> str:
    """The first 16 hex digits of a hash: a name among things of one store, nothing to check a content by."""
    return digest[:SHORT]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"cannot hash a {type(value).__name__}")
