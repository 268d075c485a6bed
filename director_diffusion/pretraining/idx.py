"""IDX: the array format of MNIST and its kin, read strictly.

Belongs here: from a file, gzipped or not, to an array.  What images and labels mean together, `images` knows.
"""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import fsspec
import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import DataError

# http://yann.lecun.com/exdb/mnist: two zero bytes, the type of the numbers, the number of dimensions, then their sizes.
_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_UINT8 = 0x08
_GZIP = b"\x1f\x8b"
_PIECE = 1 << 20  # bytes read at once: no header, however wrong, makes room for more than the file holds


def read_idx(url: str, *, root: Path, dimensions: int, available_at: str) -> NDArray[np.uint8]:
    """The array in a file of unsigned bytes.  `url` is a path (relative ones start from `root`) or an fsspec URL.

    Raises DataError, saying which bytes are wrong, unless the file holds just what its header says.
    """
    with opened(url, root=root, available_at=available_at) as file:
        try:
            return _read(url, file, dimensions)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(url, f"is a damaged gzip file ({error})", "Download or copy it again.") from error


@contextmanager
def opened(url: str, *, root: Path, available_at: str) -> Iterator[IO[bytes]]:
    """A local file or what an fsspec URL leads to.

    Raises DataError where it cannot be read; where it is absent, the error tells its address, the name below
    `available_at`.
    """
    place = url if "://" in url else str(root / Path(url).expanduser())
    try:
        with fsspec.open(place, "rb") as file:
            yield cast(IO[bytes], file)
    except (gzip.BadGzipFile, EOFError):
        raise
    except FileNotFoundError as error:
        source = f"{available_at.rstrip('/')}/{url.rpartition('/')[2]}"
        get = f"It can be had at {source}; put" if available_at else "Put"
        way_out = f"{get} it there, or mend its place in the base's file."
        raise DataError(url, f"was not found (looked for {place})", way_out) from error
    except (OSError, ImportError, ValueError) as error:
        raise DataError(url, f"cannot be read: {error}", "Mend its place in the base's file, or the access.") from error


def _read(url: str, file: IO[bytes], dimensions: int) -> NDArray[np.uint8]:
    start = file.read(2)
    file.seek(0)
    stream = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if start == _GZIP else file
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise DataError(url, f"is no IDX file: it starts with the bytes {magic.hex(' ')}", "Give another file.")
    if magic[2] != _UINT8:
        raise DataError(url, f"holds {_TYPES[magic[2]]}, not uint8", "Save it as unsigned bytes.")
    if magic[3] != dimensions:
        raise DataError(
            url, f"has {magic[3]} dimensions, not {dimensions}", "See whether images and labels are interchanged."
        )
    sizes = stream.read(4 * dimensions)
    shape = tuple(int(size) for size in np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4"))
    if len(sizes) < 4 * dimensions or 0 in shape:
        raise DataError(url, f"has no whole header or holds nothing (sizes {list(shape)})", "Give another file.")
    expected = math.prod(shape)
    data = _at_most(stream, expected + 1)
    if len(data) != expected:
        problem = f"is truncated: {len(data)} of {expected} bytes" if len(data) < expected else "has extra bytes"
        raise DataError(url, f"{problem} after a header of sizes {list(shape)}", "Download or copy it again.")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _at_most(stream: IO[bytes], size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size and (piece := stream.read(min(_PIECE, size - len(pieces)))):
        pieces += piece
    return bytes(pieces)
