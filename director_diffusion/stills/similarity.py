"""Similarity: which stills show the same picture.

Belongs here: the perceptual hash, near-duplicates and clusters of similar stills.  Does not: which side of the split a
cluster goes to (`split`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_HASH_SIDE = 8  # 8 × 8 coefficients: 64 bits
_SAMPLES = 32  # side of the picture that is transformed

# Stills this many bits further apart than duplicates are similar enough to give each other away across the split.
CLUSTER_SLACK = 4

_PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Look:
    """What a still is compared by."""

    phash: str  # 16 hex digits
    pixels: int  # of the picture, after the crop
    sharpness: float
    order: str  # decides between equals


def perceptual_hash(picture: Image.Image) -> str:
    """64 bits, as 16 hex digits, of the signs of a picture's low frequencies about their median (DCT, "pHash").

    It hardly changes with scale, compression and brightness.  `picture` may be a small copy.
    """
    grey = picture.convert("L").resize((_SAMPLES, _SAMPLES), Image.Resampling.BOX)
    low = dctn(np.asarray(grey, dtype=np.float64), norm="ortho")[:_HASH_SIDE, :_HASH_SIDE]
    bits = (low > np.median(low)).ravel()
    return np.packbits(bits).tobytes().hex()


def distance(one: str, other: str) -> int:
    """Bits in which two perceptual hashes differ, 0 to 64."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def near_duplicates(looks: Sequence[Look], max_distance: int) -> dict[int, tuple[int, int]]:
    """Index of every near-duplicate, with the index of the still kept in its place and their distance in bits.

    Larger and then sharper stills are kept first; a still is a duplicate only of one that is kept, so that a slow
    camera move is thinned out and not reduced to its first frame.
    """
    best_first = sorted(range(len(looks)), key=lambda i: (-looks[i].pixels, -looks[i].sharpness, looks[i].order))
    hashes = _hashes(look.phash for look in looks)
    kept: list[int] = []
    kept_hashes = np.empty(len(looks), dtype=np.uint64)
    out: dict[int, tuple[int, int]] = {}
    for index in best_first:
        apart = np.bitwise_count(kept_hashes[: len(kept)] ^ hashes[index])
        nearest = int(apart.argmin()) if kept else 0
        if kept and int(apart[nearest]) <= max_distance:
            out[index] = kept[nearest], int(apart[nearest])
        else:
            kept_hashes[len(kept)] = hashes[index]
            kept.append(index)
    return out


def similar_pairs(phashes: Sequence[str], max_distance: int) -> Iterator[tuple[int, int]]:
    """Pairs of indices (first < second) of hashes at most `max_distance` bits apart."""
    for pairs in _similar(phashes, max_distance):
        for first, second in pairs:
            yield int(first), int(second)


def clusters(phashes: Sequence[str], max_distance: int) -> list[int]:
    """A cluster number, from 0, for every hash: those linked by pairs at most `max_distance` bits apart share one."""
    count = len(phashes)
    links, more = [np.empty((0, 2), dtype=np.int64)], 0
    for pairs in _similar(phashes, max_distance):
        links.append(pairs)
        more += len(pairs)
        if more > _PAIRS_AT_ONCE:  # of very similar stills there are as many as their square
            labels = np.array(linked(count, np.concatenate(links)))
            first_of_each = np.unique(labels, return_index=True)[1]
            links, more = [np.stack([np.arange(count), first_of_each[labels]], axis=1)], 0
    return linked(count, np.concatenate(links))


def _similar(phashes: Sequence[str], max_distance: int) -> Iterator[NDArray[np.int64]]:
    """Pairs of indices (N, 2) of hashes at most `max_distance` bits apart, for one first index after the other."""
    hashes = _hashes(phashes)
    for first in range(len(hashes) - 1):
        near = np.flatnonzero(np.bitwise_count(hashes[first + 1 :] ^ hashes[first]) <= max_distance)
        if len(near):
            yield np.stack([np.full(len(near), first), first + 1 + near], axis=1)


def linked(count: int, pairs: Sequence[tuple[int, int]] | NDArray[np.int64]) -> list[int]:
    """A group number, from 0, for each of `count` things, of which `pairs` belong together."""
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(count, count))
    return [int(label) for label in connected_components(graph, directed=False)[1]]


def _hashes(phashes: Iterable[str]) -> NDArray[np.uint64]:
    return np.array([int(phash, 16) for phash in phashes], dtype=np.uint64)
