"""The loopback Hub's Xet storage, as hf_xet 1.8 writes to it and reads from it.

Belongs here: xorbs (chunks of files, compressed, one after another) and shards (which chunks make which file), by the
specification at https://huggingface.co/docs/xet.  Nothing is deduplicated across uploads: no chunk is ever known.

    xorbs/<hash>        as they came
    files/<hash>.json   of a file: its terms, [xorb, first chunk, end], and its sha256
    by_sha256/<sha256>  the hash of a file

A hash is written as four little-endian numbers of 64 bits.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.loopback_hub.repositories import write_file

HEADER, ENTRY = 48, 48  # bytes, of a shard
BOOKEND = b"\xff" * 32
VERIFICATION, METADATA = 1 << 31, 1 << 30  # flags of a file in a shard
LZ4, GROUPED_LZ4 = 1, 2  # how a chunk is compressed; 0 is not at all


@dataclass(frozen=True)
class Term:
    xorb: str
    first: int  # chunk
    end: int
    size: int  # unpacked


@dataclass(frozen=True)
class Chunk:
    """Where a chunk lies in its xorb."""

    begin: int
    end: int
    content: bytes


class XetStorage:
    def __init__(self, folder: Path):
        self.folder = folder

    def keep_xorb(self, name: str, body: bytes) -> None:
        """Raises ValueError where it cannot be read."""
        if not list(_chunks(body)):
            raise ValueError("a xorb without chunks")
        write_file(self.folder / "xorbs" / name, body)

    def keep_shard(self, body: bytes) -> Iterator[tuple[str, bytes]]:
        """Register the files of a shard; gives their sha256 and contents.  Raises ValueError for a xorb not there."""
        for name, terms, sha256 in _files(body):
            content = b"".join(chunk.content for term in terms for chunk in self._range(term))
            if hashlib.sha256(content).hexdigest() != sha256:
                raise ValueError(f"the chunks of {name} do not make {sha256}")
            told = {"sha256": sha256, "terms": [[t.xorb, t.first, t.end, t.size] for t in terms]}
            write_file(self.folder / "files" / f"{name}.json", json.dumps(told).encode())
            write_file(self.folder / "by_sha256" / sha256, name.encode())
            yield sha256, content

    def name_of(self, sha256: str) -> str | None:
        """The hash of a file that came by Xet."""
        path = self.folder / "by_sha256" / sha256
        return path.read_text() if path.exists() else None

    def xorb(self, name: str) -> bytes:
        return (self.folder / "xorbs" / name).read_bytes()

    def reconstruction(self, name: str, url_of: Any) -> dict[str, Any]:
        """How to put a whole file together, for its reader; `url_of(xorb)` is where that is fetched."""
        terms = [Term(*term) for term in json.loads((self.folder / "files" / f"{name}.json").read_bytes())["terms"]]
        fetch: dict[str, list[dict[str, Any]]] = {}
        for term in terms:
            chunks = self._range(term)
            fetch.setdefault(term.xorb, []).append(
                {
                    "range": {"start": term.first, "end": term.end},
                    "url": url_of(term.xorb),
                    "url_range": {"start": chunks[0].begin, "end": chunks[-1].end - 1},
                }
            )
        return {
            "offset_into_first_range": 0,
            "terms": [
                {"hash": t.xorb, "unpacked_length": t.size, "range": {"start": t.first, "end": t.end}} for t in terms
            ],
            "fetch_info": fetch,
        }

    def _range(self, term: Term) -> list[Chunk]:
        if not (self.folder / "xorbs" / term.xorb).exists():
            raise ValueError(f"xorb {term.xorb} never came")
        return list(_chunks(self.xorb(term.xorb)))[term.first : term.end]


def _files(shard: bytes) -> Iterator[tuple[str, list[Term], str]]:
    """Name, terms and sha256 of each file of a shard."""
    at = HEADER
    while shard[at : at + 32] != BOOKEND:
        name = _name(shard[at : at + 32])
        flags, count = struct.unpack("<II", shard[at + 32 : at + 40])
        terms = []
        for place in range(at + ENTRY, at + ENTRY * (1 + count), ENTRY):
            _, size, first, end = struct.unpack("<IIII", shard[place + 32 : place + 48])
            terms.append(Term(_name(shard[place : place + 32]), first, end, size))
        at += ENTRY * (1 + count) + (ENTRY * count if flags & VERIFICATION else 0)
        if not flags & METADATA:
            raise ValueError(f"{name} comes without its sha256")
        sha256 = _name(shard[at : at + 32])
        at += ENTRY
        yield name, terms, sha256


def _chunks(xorb: bytes) -> Iterator[Chunk]:
    at = 0
    while at < len(xorb) and not xorb[at:].startswith(b"XETBLOB"):
        packed, scheme, size = _number(xorb[at + 1 : at + 4]), xorb[at + 4], _number(xorb[at + 5 : at + 8])
        end = at + 8 + packed
        yield Chunk(at, end, _unpacked(xorb[at + 8 : end], scheme, size))
        at = end


def _unpacked(data: bytes, scheme: int, size: int) -> bytes:
    if scheme not in (LZ4, GROUPED_LZ4):
        return data
    flat = pa.decompress(data, decompressed_size=size, codec="lz4", asbytes=True)
    if scheme == LZ4:
        return flat
    content, at = bytearray(size), 0
    for first in range(4):  # all first bytes of each four, then all second ones
        count = len(range(first, size, 4))
        content[first::4] = flat[at : at + count]
        at += count
    return bytes(content)


def _number(little_endian: bytes) -> int:
    return int.from_bytes(little_endian, "little")


def _name(raw: bytes) -> str:
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))
