"""A bucket of S3 as a store: what goes wrong there, what it costs, and what it is to several processes."""

import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.retries.standard import ExponentialBackoff

from director_diffusion.errors import StoreError, TransientError
from director_diffusion.models.doctor import examine_bucket
from director_diffusion.storage import Artifact, ItemCache, Manifest, Store
from director_diffusion.storage.artifact import (
    content_version,
    describe_files,
    latest_artifact,
    set_latest,
    usable_artifact,
    write_artifact,
)
from director_diffusion.storage.lease import leased
from director_diffusion.storage.lock import held_gate, holders, pass_gate
from tests.s3_server import FAULTS, KEYS, Fault, S3Server

MB = 1_000_000


@pytest.fixture
def store(bucket: str) -> Store:
    return Store(bucket)


def place(store: Store) -> dict[str, str]:
    name, _, prefix = store.url.removeprefix("s3://").partition("/")
    return {"Bucket": name, "Prefix": prefix}


def uploads(s3: S3Server, store: Store) -> list[str]:
    return [one["Key"] for one in s3.client().list_multipart_uploads(**place(store)).get("Uploads", [])]


def make(store: Store, out: Path, partition: str, references: tuple[str, ...] = ()) -> Artifact:
    out.mkdir(exist_ok=True)
    (out / "a.txt").write_text(partition)
    files = describe_files(out)
    manifest = Manifest(
        asset=("mini", "latents"),
        partition=partition,
        key="k",
        plain_key="k",
        version=content_version(files, references),
        files=files,
        references=references,
        code_version="1",
        seconds=0.0,
    )
    artifact = write_artifact(store, out, manifest)
    set_latest(artifact)
    return artifact


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore asks again as often as ever, after a tenth of the time."""
    whole = ExponentialBackoff.delay_amount
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: whole(self, context) / 10)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_in_five_loses_and_doubles_nothing(s3: S3Server, store: Store, fault: Fault) -> None:
    names = [f"a/{number}/b.bin" for number in range(14)]
    content = {name: f"{name} ".encode() * 40 for name in names}

    def whole_life(name: str) -> bytes:
        store.write(name, b"first")
        store.write(name, content[name])
        assert store.exists(name)
        found = store.read(name)
        store.delete(f"{name}.old")
        return found

    with s3.failing(fault, rate=0.2, seed=7) as failed, ThreadPoolExecutor(14) as pool:
        assert dict(zip(names, pool.map(whole_life, names), strict=True)) == content
        assert store.present([*names, "a/none"]) == set(names)
        assert store.sizes("a") == {name[2:]: len(data) for name, data in content.items()}
        store.delete("a/3")
        assert store.names("a") == sorted(str(number) for number in range(14) if number != 3)
    assert failed[fault] >= 8


@pytest.mark.usefixtures("soon")
def test_answers_that_break_off_are_asked_for_again_be_they_lists_or_errors(s3: S3Server, store: Store) -> None:
    store.write("a/b.bin", b"b")
    assert store.bucket is not None
    with s3.failing("cut", rate=0.6, seed=1) as failed:
        for number in range(3):
            assert store.names("a") == ["b.bin"]
            assert store.read_those(["a/b.bin", "a/none"]) == {"a/b.bin": b"b"}
            with pytest.raises(StoreError, match="is not in the store"):
                store.read("a/none")
            assert store.bucket.look(f"a/none-{number}") is None
    assert failed["cut"] >= 8


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("fault", ["throttled", "lost", "cut"])
def test_a_large_file_goes_up_in_parts_whatever_fails(s3: S3Server, store: Store, tmp_path: Path, fault: Fault) -> None:
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(5 * MB) * 4 + b"end")
    with s3.failing(fault, rate=0.2, seed=2) as failed, s3.counted() as asked:
        store.put(source, "large.bin")
        assert store.read("large.bin") == source.read_bytes()
    assert failed[fault]
    assert sum(method == "PUT" and "partNumber" in path for method, path in asked) >= 3
    assert uploads(s3, store) == [] or fault != "throttled"


def test_the_parts_of_an_upload_that_fails_do_not_stay(
    s3: S3Server, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "large.bin"
    source.write_bytes(bytes(20 * MB))
    whole = s3.serve

    def full(app: object, environ: dict[str, str], start: Callable[..., object]) -> object:
        if "partNumber=3" in environ.get("QUERY_STRING", ""):
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"]
        return whole(app, environ, start)  # type: ignore[arg-type]

    monkeypatch.setattr(s3, "serve", full)
    with pytest.raises(StoreError, match="refuses these credentials"):
        store.put(source, "large.bin")
    assert uploads(s3, store) == []
    assert not store.exists("large.bin")


def test_parts_that_a_kill_left_go_with_the_next_upload(s3: S3Server, store: Store, tmp_path: Path) -> None:
    where = place(store)
    key = f"{where['Prefix']}/large.bin"
    for name in (key, f"{key}.other"):
        s3.client().create_multipart_upload(Bucket=where["Bucket"], Key=name)  # of 2010, as this server says
    source = tmp_path / "large.bin"
    source.write_bytes(bytes(20 * MB))
    store.put(source, "large.bin")
    assert uploads(s3, store) == [f"{key}.other"]


def test_reading_costs_what_is_read_whatever_else_there_is(s3: S3Server, store: Store, tmp_path: Path) -> None:
    items = ItemCache(store, "latents", "fp", ".bin")
    wanted = [f"item{number}" for number in range(5)]
    for item in wanted:
        items.write(item, item.encode())
    make(store, tmp_path / "out", "nolan", references=tuple(items.name(item) for item in wanted))

    def cost() -> int:
        """The least of three: a connection that the server has closed meanwhile costs a request more."""
        counts = []
        for _ in range(3):
            with s3.counted() as asked:
                assert usable_artifact(store, ("mini", "latents"), "nolan").json is not None
                assert items.missing([*wanted, "none"]) == ["none"]
                assert store.exists("picks/mini_lora/nolan.json") is False
            counts.append(len(asked))
        return min(counts)

    alone = cost()
    assert alone == 2 + 1 + len(wanted) + (len(wanted) + 1) + 2  # pointer, manifest, listing, items; items; no pick
    where = place(store)
    for number in range(1100):  # more than a listing's page
        for name in (f"cache/latents/fp/other{number}.bin", f"assets/mini/latents/other{number}/latest.json"):
            s3.put(where["Bucket"], f"{where['Prefix']}/{name}")
    assert len(store.names("assets/mini/latents")) == 1101
    assert cost() == alone


def test_a_fork_and_a_pickle_reach_the_store(store: Store) -> None:
    store.write("a.txt", b"1")
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def child() -> None:
        answers.put(store.read("a.txt"))
        store.write("b.txt", b"2")

    process = context.Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert answers.get() == b"1"
    assert pickle.loads(pickle.dumps(store)).read("b.txt") == b"2"
    assert store.read("b.txt") == b"2"


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "no bucket": ({}, "names a bucket that does not exist"),
    "nobody there": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "nobody answers"),
    "no credentials": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials for it were found"),
    "no such profile": ({"AWS_PROFILE": "nobody"}, "no credentials for it were found"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("use", ["read", "write", "list", "exists"])
def test_what_is_wrong_is_said(bucket: str, wrong: str, use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment, said = WRONG[wrong]
    for name, value in {"AWS_MAX_ATTEMPTS": "1", **environment}.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name)
    store = Store("s3://no-such-bucket-anywhere/x" if wrong == "no bucket" else bucket)
    uses: dict[str, Callable[[], object]] = {
        "read": lambda: store.read("a.txt"),
        "write": lambda: store.write("a.txt", b""),
        "list": lambda: store.names("a"),
        "exists": lambda: store.exists("a.txt"),
    }
    with pytest.raises((StoreError, TransientError), match=said) as raised:
        uses[use]()
    assert raised.value.way_out


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("AccessDenied", "403 Forbidden", "refuses these credentials"),
        ("InvalidAccessKeyId", "403 Forbidden", "does not know these credentials"),
        ("SignatureDoesNotMatch", "403 Forbidden", "does not know these credentials"),
        ("ExpiredToken", "400 Bad Request", "have expired"),
        ("RequestTimeTooSkewed", "403 Forbidden", "clock is wrong"),
        ("SlowDown", "503 Slow Down", "asks to slow down, and goes on asking"),
        ("InternalError", "500 Internal Server Error", "failed on the server's side"),
        ("TeapotError", "418 I'm a teapot", r"was refused by .* \(TeapotError\)"),
    ],
)
def test_what_s3_refuses_is_said_without_what_was_signed(
    s3: S3Server, bucket: str, code: str, status: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(app: object, environ: dict[str, str], start: Callable[..., object]) -> object:
        start(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>{KEYS}</Message></Error>".encode()]

    monkeypatch.setattr(s3, "serve", refuse)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    store = Store(bucket)
    for use in (lambda: store.read("a.txt"), lambda: store.write("a.txt", b""), lambda: store.names("a")):
        with pytest.raises((StoreError, TransientError), match=said) as raised:
            use()
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(raised.value)
        assert isinstance(raised.value, TransientError) == (code in ("SlowDown", "InternalError"))


def test_the_doctor_tries_the_bucket_and_looks_whether_it_keeps_conditions(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finding() -> tuple[str, str]:
        store = Store(bucket)
        assert store.bucket is not None
        found = examine_bucket(store.bucket)
        assert store.names("locks") == []
        return found.state, found.detail

    assert finding() == ("ok", bucket)
    whole = s3.serve

    def forgetful(app: object, environ: dict[str, str], start: Callable[..., object]) -> object:
        environ.pop("HTTP_IF_NONE_MATCH", None)
        return whole(app, environ, start)  # type: ignore[arg-type]

    monkeypatch.setattr(s3, "serve", forgetful)
    state, told = finding()
    assert state == "warning"
    assert "If-None-Match" in told


def test_a_name_that_s3_cannot_hold_is_said(store: Store) -> None:
    with pytest.raises(StoreError, match="not UTF-8"):
        store.write("stills/ann/\udcff.jpg", b"")
    with pytest.raises(StoreError, match="too long a name"):
        store.write("a" * 1100, b"")


def test_a_folders_own_object_is_no_file(s3: S3Server, store: Store) -> None:
    where = place(store)
    s3.client().put_object(Bucket=where["Bucket"], Key=f"{where['Prefix']}/stills/ann/", Body=b"")
    store.write("stills/ann/a b+ü%.jpg", b"1")
    assert store.names("stills/ann") == ["a b+ü%.jpg"]
    assert store.sizes("stills/ann") == {"a b+ü%.jpg": 1}
    assert store.is_folder("stills/ann")
    assert not store.is_folder("stills/an")
    assert store.full("stills/ann") == f"{store.url}/stills/ann"


def test_latest_is_seen_whole_by_readers_while_it_is_switched(store: Store, tmp_path: Path) -> None:
    one = make(store, tmp_path / "out", "nolan")
    for _ in range(3):
        assert latest_artifact(store, ("mini", "latents"), "nolan").version == one.version
        set_latest(one)


def test_who_takes_old_files_away_sees_writers_of_other_machines_and_they_wait_for_it(store: Store) -> None:
    bucket = store.bucket
    assert bucket is not None
    elsewhere = {"holder": "run 7", "pid": 1, "host": "another"}
    with leased(bucket, "locks/0123.json", elsewhere, "another", what="an asset", wait_s=0.0, told=print):
        assert holders(store) == ["run 7 (process 1 on another)"]
    assert holders(store) == []
    passed = threading.Event()

    def write() -> None:
        pass_gate(store, "run 8")
        passed.set()

    waiting = threading.Thread(target=write, daemon=True)
    with held_gate(store, "director gc"):
        waiting.start()
        assert not passed.wait(1.5)
    assert passed.wait(10)
    pass_gate(store, "run 9")
