"""Folders: a fingerprint of names and contents, each file read once.

Belongs here: hashing of model folders, with a memo, since such folders hold tens of gigabytes and keys are asked
for often.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from director_diffusion.errors import ModelError
from director_diffusion.hashing import hash_data, hash_file
from director_diffusion.models.disk import explain_disk

Memo = dict[str, list[str | int]]  # absolute path → [size, mtime in ns, SHA-256]


def fingerprint_folder(folder: Path, *, memo: Path) -> str:
    """As `fingerprint_files`, of the files below `folder`, hidden ones left out.

    Raises ModelError where there are none, or where one may not be read.
    """
    try:
        names = {path: path.relative_to(folder) for path in sorted(folder.rglob("*"))}
        files = {
            name.as_posix(): path
            for path, name in names.items()
            if not any(part.startswith(".") for part in name.parts) and path.is_file()
        }
        if not files:
            raise ModelError(str(folder), "holds no files", "Put the model there, or mend `folder` in its spec.")
        return fingerprint_files(files, memo=memo)
    except PermissionError as error:
        raise ModelError(
            str(error.filename or folder), "may not be read", "Give this user read access to the model's files."
        ) from error


def fingerprint_files(files: Mapping[str, Path], *, memo: Path) -> str:
    """SHA-256 of these files' names and contents.

    A file whose size and time are as `memo` (a JSON file, made as needed) has them is not read again.
    """
    known = _read_memo(memo)
    found: Memo = {}
    hashes = {}
    for name, path in files.items():
        place, stat = str(path.absolute()), path.stat()
        entry = known.get(place)
        if entry is None or entry[:2] != [stat.st_size, stat.st_mtime_ns]:
            entry = [stat.st_size, stat.st_mtime_ns, hash_file(path)]
        found[place] = entry
        hashes[name] = entry[2]
    if any(known.get(place) != entry for place, entry in found.items()):
        _write_memo(memo, known | found)
    return hash_data(hashes)


def _read_memo(memo: Path) -> Memo:
    try:
        entries = json.loads(memo.read_bytes())
    except (FileNotFoundError, ValueError):  # a memo is only ever a saving: an unreadable one is made anew
        return {}
    return entries if isinstance(entries, dict) else {}


def _write_memo(memo: Path, entries: Memo) -> None:
    with explain_disk(memo.parent):
        memo.parent.mkdir(parents=True, exist_ok=True)
        partial = memo.with_name(f".{memo.name}.{os.getpid()}")
        partial.write_text(json.dumps(entries))
        partial.replace(memo)
