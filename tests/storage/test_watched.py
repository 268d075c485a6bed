"""Watched: many ask, one looks, and what is new is told in time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from director_diffusion.errors import StoreError
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import usable_artifacts
from director_diffusion.storage.watched import Watched
from tests.lineages import Lineage

ASSET, PEOPLE = ("mini_lora", "adapter"), ("nolan", "fincher")


class Counting(Store):
    """Counts what it is asked, and takes a while to say whether something is there."""

    takes_s = 0.0

    def __init__(self, url: str):
        super().__init__(url)
        self.asked: list[str] = []

    def exists(self, name: str) -> bool:
        self.asked.append(name)
        time.sleep(self.takes_s)
        return super().exists(name)


@pytest.fixture
def store(tmp_path) -> Counting:
    return Counting(str(tmp_path / "store"))


def make(store: Store, director: str, content: bytes = b"1") -> None:
    Lineage(store, director).make(ASSET, {}, files={"weights": content})


def watched(store: Store, *, every_s: float, most_s: float) -> Watched[list[str]]:
    def read() -> list[str]:
        return [f"{name} {one.version[:8]}" for name, one in usable_artifacts(store, ASSET, PEOPLE).items()]

    return Watched(store, [ASSET], PEOPLE, read, every_s=every_s, most_s=most_s)


def test_what_is_new_changed_or_gone_is_told(store: Counting) -> None:
    seen, told = watched(store, every_s=0, most_s=0), list[str]()
    for change in (
        lambda: None,
        lambda: make(store, "nolan"),
        lambda: make(store, "nolan", b"2"),
        lambda: make(store, "fincher"),
        lambda: store.delete("assets/mini_lora/adapter/nolan/latest.json"),
    ):
        change()
        told.append(" ".join(seen.now()))
    assert [line.split()[::2] for line in told] == [[], ["nolan"], ["nolan"], ["nolan", "fincher"], ["fincher"]]
    assert len(set(told)) == len(told)


def test_however_many_ask_one_looks_and_reads_only_what_has_changed(store: Counting) -> None:
    make(store, "nolan")
    seen = watched(store, every_s=0.2, most_s=0.2)
    seen.now()
    time.sleep(0.25)
    store.asked.clear()
    with ThreadPoolExecutor(16) as pool:
        found = {tuple(one) for one in pool.map(lambda _: seen.now(), range(200))}
    assert len(found) == 1
    looked = [name for name in store.asked if name.endswith("latest.json")]
    assert set(looked) == set(store.asked), "nothing but what says whether anything has changed"
    assert looked[:2] == [f"assets/mini_lora/adapter/{one}/latest.json" for one in PEOPLE]
    assert len(looked) < 20, "200 askers took less than a second and a half"


def test_who_asks_while_another_looks_is_told_what_that_one_finds(store: Counting) -> None:
    make(store, "nolan")
    strict, lenient = watched(store, every_s=0.01, most_s=0.01), watched(store, every_s=0.01, most_s=60)
    assert len(strict.now()) == len(lenient.now()) == 1
    make(store, "fincher")
    time.sleep(0.02)
    store.takes_s = 0.2
    for seen, others in ((strict, 2), (lenient, 1)):
        store.asked.clear()
        first = threading.Thread(target=seen.now)
        first.start()
        while not store.asked:
            time.sleep(0.001)
        assert len(seen.now()) == others
        first.join()
        assert len(seen.now()) == 2


def test_a_look_that_failed_is_not_kept(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    make(store, "nolan")
    seen = watched(store, every_s=60, most_s=60)
    name = f"assets/mini_lora/adapter/nolan/{store.names('assets/mini_lora/adapter/nolan')[0]}"
    monkeypatch.setattr(Counting, "exists", lambda store, name: not name.endswith("artifact.json"))
    with pytest.raises(StoreError):
        seen.now()
    monkeypatch.undo()
    assert store.exists(name)
    assert len(seen.now()) == 1
