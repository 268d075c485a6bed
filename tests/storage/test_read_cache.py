"""What was read of a bucket: kept up to a size, never stale, whole or read again."""

import multiprocessing
import os
import random
from pathlib import Path

import pytest

from director_diffusion.hashing import hash_bytes
from director_diffusion.storage import ItemCache, Store
from director_diffusion.storage.read_cache import ReadCache
from tests.s3_server import S3Server

KB = 1000


def kept_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("??/*"))


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*"))


@pytest.fixture
def cached(bucket: str, tmp_path: Path) -> Store:
    return Store(bucket, cache=ReadCache(tmp_path / "kept", 100 * KB))


def test_what_is_kept_comes_without_its_bytes_and_never_stale(s3: S3Server, bucket: str, cached: Store) -> None:
    cached.write("cache/a/b/c.bin", b"one")
    assert cached.read("cache/a/b/c.bin") == b"one"
    with s3.counted() as asked:
        assert cached.read("cache/a/b/c.bin") == b"one"
    assert [method for method, _ in asked] == ["GET"]
    Store(bucket).write("cache/a/b/c.bin", b"two")
    assert cached.read("cache/a/b/c.bin") == b"two"
    Store(bucket).delete("cache/a/b/c.bin")
    assert not cached.exists("cache/a/b/c.bin")
    assert ItemCache(cached, "a", "b", ".bin").missing(["c"]) == ["c"]


def test_small_files_that_people_and_stages_change_are_not_kept(cached: Store, tmp_path: Path) -> None:
    for name in ("picks/mini_lora/nolan.json", "releases/a.json", "hub/refs/main"):
        cached.write(name, b"x")
        cached.read(name)
    assert entries(tmp_path / "kept") == []


def test_a_file_whose_hash_is_known_costs_no_request(s3: S3Server, cached: Store) -> None:
    cached.write("assets/a", b"one")
    assert cached.read_known("assets/a", hash_bytes(b"one")) == b"one"
    with s3.counted() as asked:
        assert cached.read_known("assets/a", hash_bytes(b"one")) == b"one"
    assert asked == []
    assert cached.read_known("assets/a", hash_bytes(b"two")) == b"one", "what is there, and it is not kept as the other"
    cached.write("assets/a", b"two")
    assert cached.read_known("assets/a", hash_bytes(b"two")) == b"two"


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "no header", "a folder"])
def test_a_damaged_entry_is_read_again(cached: Store, tmp_path: Path, damage: str) -> None:
    cached.write("cache/a/b/c.bin", b"content" * 10)
    cached.read("cache/a/b/c.bin")
    (entry,) = entries(tmp_path / "kept")
    whole = entry.read_bytes()
    if damage == "a folder":
        entry.unlink()
        entry.mkdir()
    else:
        spoilt = {"cut": whole[:-3], "flipped": whole[:-1] + b"X", "empty": b"", "no header": whole.partition(b"\n")[2]}
        entry.write_bytes(spoilt[damage])
    assert cached.read("cache/a/b/c.bin") == b"content" * 10
    if damage != "a folder":
        assert entry.read_bytes() == whole


def test_it_stays_below_its_limit_and_keeps_what_is_used(tmp_path: Path) -> None:
    cache = ReadCache(tmp_path / "kept", 100 * KB)
    data = {f"{number}": os.urandom(9 * KB) for number in range(30)}
    digests = {name: hash_bytes(one) for name, one in data.items()}
    for number, (name, one) in enumerate(data.items()):
        cache.known(digests[name], lambda one=one: one)  # type: ignore[misc]
        for path in entries(tmp_path / "kept"):  # a disk's clock may be too coarse for this
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**9,) * 2)
        cache.known(digests["0"], lambda: pytest.fail("the one in use has gone"))
        assert kept_bytes(tmp_path / "kept") <= 100 * KB, number
    assert len(entries(tmp_path / "kept")) >= 9


def test_what_is_larger_than_all_is_not_kept_and_a_cache_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    large = os.urandom(200 * KB)
    assert ReadCache(tmp_path / "kept", 100 * KB).known(hash_bytes(large), lambda: large) == large
    assert entries(tmp_path / "kept") == []
    (tmp_path / "file").write_bytes(b"")
    assert ReadCache(tmp_path / "file" / "kept", 100 * KB).known(hash_bytes(b"x"), lambda: b"x") == b"x"


def read_much(folder: Path, seed: int) -> None:
    cache, draw = ReadCache(folder, 50 * KB), random.Random(seed)
    for _ in range(200):
        data = bytes([draw.randrange(20)]) * 5 * KB
        assert cache.known(hash_bytes(data), lambda data=data: data) == data  # type: ignore[misc]


def test_many_processes_share_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=read_much, args=(tmp_path / "kept", seed)) for seed in range(4)]
    for process in processes:
        process.start()
    processes[0].kill()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes[1:]] == [0, 0, 0]
    read_much(tmp_path / "kept", 9)
    new = os.urandom(5 * KB)  # all of the others may be there, as who wrote last found another clearing
    assert ReadCache(tmp_path / "kept", 50 * KB).known(hash_bytes(new), lambda: new) == new
    assert kept_bytes(tmp_path / "kept") <= 50 * KB
