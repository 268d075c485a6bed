"""What is kept in memory has an end, and what is asked for stays."""

import secrets
import tracemalloc
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from director_diffusion.kept import ENTRY_BYTES, KeptBytes
from director_diffusion.studio.shelf import Shelf

MOST = 2**20
KEYS = {"as on the shelf": lambda name: f"{name}.png", "as in the booth": lambda name: ("sample", name)}


def test_what_was_not_asked_for_leaves_first() -> None:
    kept: KeptBytes[str] = KeptBytes(2 * (4 + ENTRY_BYTES))
    for name in ("one", "two", "three"):
        kept.add(name, b"four")
        kept.add(name, b"four")
        assert kept.find("one") == b"four"
    assert [kept.find(name) for name in ("two", "three")] == [None, b"four"]
    kept.add("large", bytes(10_000))
    assert [kept.find(name) for name in ("one", "three", "large")] == [None, None, bytes(10_000)]
    kept.add("one", b"four")
    assert [kept.find(name) for name in ("large", "one")] == [None, b"four"]


@pytest.mark.parametrize("content", [1, 1000, MOST // 10])
@pytest.mark.parametrize("shape", KEYS)
def test_no_more_memory_is_held_than_is_allowed(shape: str, content: int) -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept: KeptBytes[Hashable] = KeptBytes(MOST)
        for _ in range(2 * MOST // (content + ENTRY_BYTES)):
            kept.add(KEYS[shape](secrets.token_hex(32)), bytes(content))
            assert tracemalloc.get_traced_memory()[0] - before < MOST
        assert tracemalloc.get_traced_memory()[0] - before > MOST / 2, "and that is made use of"
    finally:
        tracemalloc.stop()


def test_the_shelf_stays_below_its_limit_while_many_draw() -> None:
    pictures = [Image.effect_noise((64, 64), 100) for _ in range(64)]  # some 4 kB each
    for picture in pictures:
        picture.load()
    shelf = Shelf(kept_bytes=2**16)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with ThreadPoolExecutor(4) as pool:
            addresses = list(pool.map(shelf.put, pictures * 4))
        names = [address.rpartition("/")[2] for address in addresses]
        kept = [len(data) for name in set(names) if (data := shelf.get(name)) is not None]
        assert 2**15 < sum(kept) < 2**16
        del addresses, names
        assert tracemalloc.get_traced_memory()[0] - before < 2**17, "and no picture is held elsewhere"
    finally:
        tracemalloc.stop()
    assert shelf.get(shelf.put(pictures[0]).rpartition("/")[2]) is not None
