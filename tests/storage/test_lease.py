"""Locks of a bucket: one holder among machines, here folders of temporary files of their own."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from director_diffusion.errors import BusyError, TransientError
from director_diffusion.storage import Store, lease, lock
from director_diffusion.storage.bucket import Bucket
from tests.s3_server import S3Server

NAME = "mini/latents/nolan"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lives of seconds: S3 tells time in whole ones."""
    monkeypatch.setattr(lease, "LIVES_S", 4.0)
    monkeypatch.setattr(lease, "RENEWED_EVERY_S", 0.3)
    monkeypatch.setattr(lease, "_LOOKS_EVERY_S", 0.1)


@pytest.fixture
def store(bucket: str) -> Store:
    return Store(bucket)


@contextmanager
def machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What runs in the block runs on the machine whose locks lie in that folder."""
    folder.mkdir(exist_ok=True)
    with monkeypatch.context() as patched:
        patched.setattr(lock, "_folder", lambda store: folder)
        yield


def leases(store: Store) -> list[str]:
    return store.names("locks")


@pytest.mark.usefixtures("quick")
def test_another_machine_is_told_who_writes_and_writes_next(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, told = list[str](), list[str]()
    with machine(tmp_path / "one", monkeypatch):
        holding = lock.writer_lock(store, NAME, "run 1")
        check = holding.__enter__()
    with machine(tmp_path / "two", monkeypatch):
        with (
            pytest.raises(BusyError, match=r"is being written by run 1 \(process \d+ on"),
            lock.writer_lock(store, NAME, "run 2"),
        ):
            pass

        def second() -> None:
            with lock.writer_lock(store, NAME, "run 3", wait_s=-1, told=told.append):
                order.append("second")

        waiting = threading.Thread(target=second)
        waiting.start()
        while not told:
            time.sleep(0.01)
        time.sleep(2 * lease.RENEWED_EVERY_S)
        check()
        order.append("first")
        holding.__exit__(None, None, None)
        waiting.join()
    assert order == ["first", "second"]
    assert leases(store) == []


def dead(store: Store, machine_id: str) -> None:
    """What a machine that went away left."""
    gone = {"holder": "run 0", "host": "elsewhere", "pid": 7, "since": 0.0, "machine": machine_id, "token": "t"}
    store.write(f"locks/{lock.short(lock.hash_bytes(NAME.encode()))}.json", json.dumps(gone).encode())


@pytest.mark.usefixtures("quick")
def test_the_lock_of_a_machine_that_went_away_is_taken_when_it_is_old(store: Store) -> None:
    dead(store, "another")
    began = time.monotonic()
    with lock.writer_lock(store, NAME, "run 1"):
        assert 2 < time.monotonic() - began < 60


def test_the_lock_of_a_process_of_this_machine_that_was_killed_is_taken_at_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with machine(tmp_path / "one", monkeypatch):
        dead(store, lock._machine(tmp_path / "one"))
        began = time.monotonic()
        with lock.writer_lock(store, NAME, "run 1"):
            assert time.monotonic() - began < 30 < lease.LIVES_S


def test_a_copy_of_a_machine_is_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, copy = tmp_path / "one", tmp_path / "copy"
    one.mkdir()
    mine = lock._machine(one)
    assert lock._machine(one) == mine
    shutil.copytree(one, copy)  # a container that begins with an image of it
    assert lock._machine(copy) != mine
    (tmp_path / "boot_id").write_text("another start")
    monkeypatch.setattr(lock, "_BOOT", tmp_path / "boot_id")  # a virtual machine made of its disk
    assert lock._machine(one) != mine


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="no clock of this system counts a suspension")
def test_after_a_suspension_it_is_no_more_ones_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = time.clock_gettime

    def resumed(which: int) -> float:
        return clock(which) + (3600 if which == time.CLOCK_BOOTTIME else 0)  # type: ignore[attr-defined,unused-ignore]

    with lock.writer_lock(store, NAME, "run 1") as check:
        check()
        monkeypatch.setattr(time, "clock_gettime", resumed)
        with pytest.raises(TransientError, match="another may write now"):
            check()
    assert len(leases(store)) == 1, "it may be another's by now"


@pytest.mark.usefixtures("quick")
def test_it_is_renewed_after_an_error_that_nobody_foresaw(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write, failed = Bucket.write_unless_changed, list[str]()

    def breaks(bucket: Bucket, name: str, data: bytes, mark: str) -> str:
        if mark and len(failed) < 2:
            failed.append(name)
            raise RuntimeError("of a library below")
        return write(bucket, name, data, mark)

    monkeypatch.setattr(Bucket, "write_unless_changed", breaks)
    with lock.writer_lock(store, NAME, "run 1") as check:
        time.sleep(lease.LIVES_S + 1)
        check()
    assert len(failed) == 2
    assert leases(store) == []


def test_of_many_machines_one_holds_it_at_a_time(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_LOOKS_EVERY_S", 0.05)
    inside, most = list[str](), list[int]()

    def one(name: str) -> None:
        held = lease.leased(
            store.bucket,  # type: ignore[arg-type]  # it is one
            "locks/x.json",
            {"holder": name, "host": "here", "pid": 1},
            name,
            what="x",
            wait_s=-1,
            told=lambda _: None,
        )
        with held:
            inside.append(name)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(name)

    threads = [threading.Thread(target=one, args=(f"machine {number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


@pytest.mark.usefixtures("quick")
def test_a_lock_outlives_lost_answers_and_says_when_it_is_lost(
    s3: S3Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LIVES_S", 30.0)
    with s3.failing("lost", rate=0.4, seed=3) as failed, lock.writer_lock(store, NAME, "run 1") as check:
        while failed["lost"] < 4:
            time.sleep(0.1)
        check()
    assert leases(store) == []
    with lock.writer_lock(store, NAME, "run 1") as check:
        dead(store, "another took it")
        time.sleep(4 * lease.RENEWED_EVERY_S)
        with pytest.raises(TransientError, match="another may write now"):
            check()
    assert len(leases(store)) == 1, "it is the other's"
