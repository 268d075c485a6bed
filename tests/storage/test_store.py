"""Store, items and artifacts: whole or absent, inside the root, on any fsspec file system."""

import errno
import multiprocessing
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest

from director_diffusion.errors import BusyError, StoreError
from director_diffusion.storage import Artifact, CheckOutcome, ItemCache, Manifest, Store
from director_diffusion.storage.artifact import (
    content_version,
    describe_files,
    find_artifact,
    latest_artifact,
    partition_folder,
    set_latest,
    usable_artifact,
    write_artifact,
)
from director_diffusion.storage.lock import holders, writer_lock
from director_diffusion.storage.read_cache import ReadCache
from director_diffusion.tables import write_table


@dataclass(frozen=True)
class Row:
    name: str
    sizes: tuple[int, ...]
    note: str | None


@pytest.fixture(params=["local", "memory", "s3", "s3 with a cache"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A local folder, an object store as fsspec knows one, and a bucket of S3, without and with a cache."""
    if request.param == "local":
        yield Store(str(tmp_path / "store"))
    elif request.param == "memory":
        root = f"memory://{uuid.uuid4().hex}"
        yield Store(root)
        fs = fsspec.filesystem("memory")
        if fs.exists(root):
            fs.rm(root, recursive=True)
    else:
        kept = ReadCache(tmp_path / "kept", 10_000_000) if "cache" in request.param else None
        yield Store(request.getfixturevalue("bucket"), cache=kept)


def make(
    store: Store,
    folder: Path,
    key: str,
    text: str,
    references: tuple[str, ...] = (),
    checks: tuple[CheckOutcome, ...] = (),
) -> Artifact:
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text(text)
    write_table(folder / "deep" / "rows.parquet", Row, [Row("x", (1, 2), None)])
    files = describe_files(folder)
    manifest = Manifest(
        asset=("mini", "latents"),
        partition="nolan",
        key=key,
        plain_key=key,
        version=content_version(files, references),
        files=files,
        references=references,
        checks=checks,
        code_version="1",
        seconds=0.0,
    )
    return write_artifact(store, folder, manifest)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a\0b"])
def test_names_stay_inside_the_store(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="not a name inside the store"):
        store.write(name, b"")


def test_files_are_replaced_whole_and_listed(store: Store) -> None:
    store.write("a/b.txt", b"1")
    store.write("a/b.txt", b"22")
    store.write("a/c/d.txt", b"3")
    assert store.read("a/b.txt") == b"22"
    assert store.names("a") == ["b.txt", "c"]
    assert store.names("nowhere") == []
    store.delete("a/c")
    assert store.names("a") == ["b.txt"]


def test_an_absent_file_says_so(store: Store) -> None:
    with pytest.raises(StoreError, match=r"none\.txt: is not in the store"):
        store.read("none.txt")
    with pytest.raises(StoreError, match=r"none\.txt: is not in the store"):
        store.read_start("none.txt", 8)


def test_a_files_start_is_read_alone(store: Store) -> None:
    store.write("a.txt", b"12345")
    assert [store.read_start("a.txt", size) for size in (0, 3, 5, 9)] == [b"", b"123", b"12345", b"12345"]


def test_those_of_many_files_that_exist_are_read(store: Store) -> None:
    for name in ("a", "b/c"):
        store.write(f"{name}.txt", name.encode())
    assert store.read_those(["b/c.txt", "none.txt", "a.txt", "b/none.txt"]) == {"a.txt": b"a", "b/c.txt": b"b/c"}
    assert store.read_those([]) == {}
    with pytest.raises(StoreError, match="not a name inside"):
        store.read_those(["../a.txt"])


def test_a_full_disk_is_explained_and_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path))
    store.write("a.txt", b"old")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="no space left"):
        store.write("a.txt", b"new")
    assert store.read("a.txt") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_artifact_is_invisible_until_it_is_the_latest(store: Store, tmp_path: Path) -> None:
    first = make(store, tmp_path / "out", "k1", "one")
    with pytest.raises(StoreError, match="has not been materialized for 'nolan'"):
        latest_artifact(store, ("mini", "latents"), "nolan")
    set_latest(first)
    second = make(store, tmp_path / "out", "k2", "two")
    found = latest_artifact(store, ("mini", "latents"), "nolan")
    assert found.read("a.txt") == b"one"
    set_latest(second)
    assert latest_artifact(store, ("mini", "latents"), "nolan").read("a.txt") == b"two"
    assert found.read("a.txt") == b"one", "an older version stays readable"


def test_what_a_blocking_check_refused_is_seen_and_not_used(store: Store, tmp_path: Path) -> None:
    def judged(key: str, *, blocking: bool) -> Artifact:
        outcome = CheckOutcome(name="finite", passed=False, blocking=blocking, description="3 are not")
        return make(store, tmp_path / key, key, key, checks=(outcome,))

    asset = ("mini", "latents")
    set_latest(judged("warned", blocking=False))
    assert usable_artifact(store, asset, "nolan").read("a.txt") == b"warned"
    set_latest(judged("refused", blocking=True))
    assert latest_artifact(store, asset, "nolan").read("a.txt") == b"refused"
    with pytest.raises(
        StoreError,
        match=r"^mini/latents of nolan: may not be used: its check finite failed \(3 are not\)\. Mend the cause, then",
    ):
        usable_artifact(store, asset, "nolan")


def test_tables_come_back_as_rows(store: Store, tmp_path: Path) -> None:
    artifact = make(store, tmp_path / "out", "k", "text")
    assert artifact.table("deep/rows.parquet", Row) == [Row("x", (1, 2), None)]
    assert artifact.path("a.txt").read_text() == "text"


def test_equal_content_has_an_equal_version(store: Store, tmp_path: Path) -> None:
    one = make(store, tmp_path / "a", "k1", "same")
    two = make(store, tmp_path / "b", "k2", "same")
    other = make(store, tmp_path / "c", "k3", "other")
    assert one.version == two.version != other.version


def test_a_half_written_artifact_is_not_found(store: Store, tmp_path: Path) -> None:
    artifact = make(store, tmp_path / "out", "k", "text")
    store.delete(f"{artifact.folder}/artifact.json")
    assert find_artifact(store, ("mini", "latents"), "nolan", "k") is None


@pytest.mark.parametrize("damage", ["absent", "cut short"])
def test_an_artifact_that_lost_a_file_is_not_found(store: Store, tmp_path: Path, damage: str) -> None:
    artifact = make(store, tmp_path / "out", "k", "text")
    assert find_artifact(store, ("mini", "latents"), "nolan", "k") is not None
    name = f"{artifact.folder}/a.txt"
    store.delete(name)
    if damage == "cut short":
        store.write(name, b"t")
    assert find_artifact(store, ("mini", "latents"), "nolan", "k") is None


@pytest.mark.parametrize(("partition", "of"), [("nolan", "version k of 'nolan'"), (None, "version k")])
def test_a_latest_artifact_that_is_lost_is_named(store: Store, partition: str | None, of: str) -> None:
    store.write(f"{partition_folder(('mini', 'latents'), partition)}/latest.json", b'{"key": "k", "version": "v"}')
    with pytest.raises(StoreError, match=rf"^mini/latents: lost the files of {of}\. Materialize it again"):
        latest_artifact(store, ("mini", "latents"), partition)


def test_an_artifact_whose_cached_items_are_gone_is_not_found(store: Store, tmp_path: Path) -> None:
    items = ItemCache(store, "latents", "fp", ".bin")
    items.write("still", b"x")
    make(store, tmp_path / "out", "k", "text", references=(items.name("still"),))
    assert find_artifact(store, ("mini", "latents"), "nolan", "k") is not None
    store.delete(items.name("still"))
    assert find_artifact(store, ("mini", "latents"), "nolan", "k") is None


def test_items_tell_what_is_missing(store: Store) -> None:
    items = ItemCache(store, "latents", "fp", ".bin")
    items.write("b", b"2")
    assert items.missing(["a", "b", "c", "a"]) == ["a", "c"]
    assert items.read("b") == b"2"
    with pytest.raises(StoreError, match="cannot name an item"):
        items.write("../b", b"")


def hold(url: str, held: "multiprocessing.synchronize.Event") -> None:
    with writer_lock(Store(url), "stills/nolan", "run abc"):
        held.set()
        multiprocessing.Event().wait()


def test_a_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=hold, args=(str(tmp_path), held))
    process.start()
    try:
        assert held.wait(20)
        with (
            pytest.raises(BusyError, match=f"being written by run abc .process {process.pid} on"),
            writer_lock(Store(str(tmp_path)), "stills/nolan", "run def"),
        ):
            pass
    finally:
        process.kill()
        process.join()
    with writer_lock(Store(str(tmp_path)), "stills/nolan", "run def"):
        pass


def test_a_note_that_cannot_be_taken_away_hides_nothing_and_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that becomes read-only while a stage writes: what is told is the write that failed."""
    store = Store(str(tmp_path))

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def fail() -> None:
        with monkeypatch.context() as patched, writer_lock(store, "stills/nolan", "run 1"):
            patched.setattr(Path, "unlink", refuse)
            raise StoreError("latest", "could not be written", "Make it writable.")

    with pytest.raises(StoreError, match="latest"):
        fail()
    assert holders(store) == []
    with writer_lock(store, "stills/nolan", "run 2"):
        pass


def test_who_waits_without_end_is_told_and_has_the_lock_next(tmp_path: Path) -> None:
    store, told, order = Store(str(tmp_path)), list[str](), list[str]()
    held = threading.Event()

    def first() -> None:
        with writer_lock(store, "mini/base_model", "run 1"):
            held.set()
            while not told:
                time.sleep(0.01)
            order.append("first")

    holder = threading.Thread(target=first)
    holder.start()
    held.wait()
    with writer_lock(store, "mini/base_model", "run 2", wait_s=-1, told=told.append):
        order.append("second")
    holder.join()
    assert order == ["first", "second"]
    (said,) = told
    assert said.startswith("mini/base_model is being written by run 1")
