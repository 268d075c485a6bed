"""The header of a safetensors file as bytes: read without its tensors, and written anew before them.

Belongs here: the format's first bytes.  What a header says is for others to decide.  Imports no torch.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from director_diffusion.errors import ModelError
from director_diffusion.storage.store import Store

_LENGTH_BYTES = 8  # a file begins with its header's length, little-endian
_ALIGNMENT = 8
_MOST = 100_000_000  # bytes: the format allows no longer header
_METADATA = "__metadata__"


def stored_header(store: Store, name: str) -> dict[str, str]:
    """What a file of a store says of itself; {} where it says nothing.  Raises ModelError for another kind of file."""
    length = _length(store.read_start(name, _LENGTH_BYTES), name)
    return _parsed(store.read_start(name, _LENGTH_BYTES + length)[_LENGTH_BYTES:], name)


def tensors_sha256(path: Path) -> str:
    """SHA-256 of all that follows the header: equal tensors of equal names, whatever is said of them."""
    with path.open("rb") as file:
        file.seek(_length(file.read(_LENGTH_BYTES), str(path)), 1)
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_metadata(source: Path, out: Path, metadata: Mapping[str, str]) -> None:
    """Copy a file, saying `metadata` beside what it says already.  The bytes depend on the arguments alone."""
    with source.open("rb") as file, out.open("wb") as copy:
        head = json.loads(file.read(_length(file.read(_LENGTH_BYTES), str(source))))
        said = {**head.get(_METADATA, {}), **metadata}
        head[_METADATA] = dict(sorted(said.items()))
        header = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
        header += b" " * (-len(header) % _ALIGNMENT)
        copy.write(len(header).to_bytes(_LENGTH_BYTES, "little"))
        copy.write(header)
        shutil.copyfileobj(file, copy)


def _length(start: bytes, name: str) -> int:
    length = int.from_bytes(start, "little")
    if len(start) < _LENGTH_BYTES or not 0 < length <= _MOST:
        raise _no_adapter(name)
    return length


def _parsed(data: bytes, name: str) -> dict[str, str]:
    try:
        head = json.loads(data)
    except ValueError as error:
        raise _no_adapter(name) from error
    return dict(sorted(head.get(_METADATA, {}).items()))


def _no_adapter(name: str) -> ModelError:
    return ModelError(name, "is no safetensors file", "Deliver or export the adapter again.")
