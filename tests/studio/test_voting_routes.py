"""Voting over real HTTP: what a browser may learn, what it may send, and what the ledger holds afterwards."""

import json
import re
import shutil
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.testclient import TestClient

from benchmarks.voting_load import vote
from director_diffusion.storage import Store
from director_diffusion.storage.files import Folder
from director_diffusion.studio.vote.routes import MAX_BYTES, UNREACHABLE
from director_diffusion.voting.exhibition import Exhibition
from director_diffusion.voting.ledger import Ledger
from tests.studio.voting_server import app_of, ledger_of, served
from tests.voting.show import COLOURS, DIRECTORS, KEY, PROMPTS, RECIPE, SECRET, arm_of, colour_of, set_up

ANSWERS = {"style": "A", "prompt": "tie"}
PAIRS = 2 * PROMPTS * len(DIRECTORS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voting") / "store"
    set_up(Store(str(folder)))
    return folder


@pytest.fixture(scope="module")
def url(store: Path) -> Iterator[str]:
    with served(store) as (url, _):
        yield url


class Voter:
    """A browser with a pass of its own, which keeps all that it was sent."""

    def __init__(self, url: str):
        self.url, self.session, self.seen = f"{url}/vote", requests.Session(), list[requests.Response]()
        self.get("")

    def get(self, path: str) -> requests.Response:
        self.seen.append(self.session.get(f"{self.url}/{path}", timeout=30))
        return self.seen[-1]

    def post(self, path: str, sent: Any) -> requests.Response:
        self.seen.append(self.session.post(f"{self.url}/{path}", json=sent, timeout=30))
        return self.seen[-1]

    def next(self, **wanted: str) -> dict[str, Any]:
        found = self.post("next", wanted)
        assert found.status_code == 200, found.text
        return found.json()

    def sides(self, ballot: dict[str, Any]) -> tuple[str, str]:
        a, b = (arm_of(colour_of(self.get(f"picture/{ballot[side]}").content)) for side in "ab")
        return a, b

    def cast(self, ballot: dict[str, Any], **answers: str) -> requests.Response:
        return self.post("cast", {"token": ballot["token"], **ANSWERS, **answers})


@pytest.fixture
def ann(url: str) -> Voter:
    return Voter(url)


def votes(store: Path) -> int:
    ledger = Ledger(ledger_of(store))
    try:
        return len(ledger.votes())
    finally:
        ledger.close()


def test_nothing_that_is_sent_tells_which_picture_is_whose(ann: Voter, store: Path) -> None:
    for name in ("booth.js", "booth.css", "choices"):
        ann.get(name)
    for _ in range(PAIRS):
        ballot = ann.next()
        ann.sides(ballot)
        for name in ballot["stills"]:
            ann.get(f"still/{name}")
        assert ann.cast(ballot).json() == {"cast": True}
    assert ann.next() == {"left": 0}
    show = Exhibition(Store(str(store)), DIRECTORS, [RECIPE]).now()
    hidden = [
        KEY.hex(),
        RECIPE,
        SECRET,
        *COLOURS,
        "cache/",
        "stills/",
        "item-",
        str(store),
        *show.pairs,
        *show.pictures,
    ]
    hidden += [shown.reference for shown in show.pictures.values()]
    hidden += [one.still for director in DIRECTORS for one in show.judging(director)]
    for response in ann.seen:
        headers = {name: value for name, value in response.headers.items() if name != "content-security-policy"}
        sent = f"{headers} ".encode() + response.content
        assert not [word for word in hidden if word.encode() in sent], response.url
        if response.headers["content-type"] == "image/png":
            assert re.findall(rb"IHDR|tEXt|iTXt|zTXt|eXIf|tIME|IDAT|IEND", response.content) == [
                b"IHDR",
                b"IDAT",
                b"IEND",
            ]
    named = [response for response in ann.seen if "/picture/" in response.url]
    assert len({response.url for response in named}) == len(named) == 2 * PAIRS, "a name is for once"
    alike = {tuple((name, value) for name, value in one.headers.items() if name not in ("date", "content-length"))
             for one in named}  # fmt: skip
    assert len(alike) == 1, "of both arms' pictures, headers are the same"
    assert {response.headers["cache-control"] for response in named} == {"no-store"}
    (cookie,) = (value for one in ann.seen if (value := one.headers.get("set-cookie")))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_sides_are_drawn_for_each_voter(url: str) -> None:
    first: Counter[bool] = Counter()
    for _ in range(24):
        voter = Voter(url)
        ballot, again = voter.next(), voter.next()
        if again["token"] != ballot["token"]:  # between them, votes of an earlier test were counted
            ballot, again = again, voter.next()
        sides = voter.sides(ballot)
        assert voter.sides(again) == sides, "a reload does not turn them"
        first[sides[0] == "adapter"] += 1
    assert min(first.values()) >= 3, "of 24 fair coins, once in 36,000 times fewer than three are alike"


def test_a_vote_is_cast_once_and_by_its_voter(ann: Voter, url: str, store: Path) -> None:
    before, ballot, bob = votes(store), ann.next(), Voter(url)
    assert "was not handed to this voter" in bob.cast(ballot).json()["error"]
    forged = {**ballot, "token": ballot["token"][:-1] + ("A" if ballot["token"][-1] != "A" else "B")}
    assert ann.cast(forged).status_code == 400
    assert ann.cast({"token": ballot["a"]}).status_code == 400
    assert votes(store) == before
    assert ann.cast(ballot).status_code == 200
    again = ann.cast(ballot, style="B")
    assert (again.status_code, "the first stands" in again.json()["error"]) == (409, True)
    assert votes(store) == before + 1
    for cookie in ("", "x" * 75, "\u00e4", ann.session.cookies["director_pass"][:-1]):
        refused = requests.post(
            f"{url}/vote/next", json={}, headers={"Cookie": f"director_pass={cookie}".encode()}, timeout=30
        )
        assert refused.status_code == 400, cookie
        assert refused.json()["error"].startswith("pass: ")


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("next", []),
        ("next", None),
        ("next", {"director": ["nolan"]}),
        ("next", {"director": "../../etc/passwd"}),
        ("next", {"director": "nolan\x00"}),
        ("next", {"recipe": {"$ne": ""}}),
        ("next", {"recipe": 7}),
        ("next", {"voter": "bob"}),
        ("cast", {}),
        ("cast", {"token": None, **ANSWERS}),
        ("cast", {"token": ["x" * 43], **ANSWERS}),
        ("cast", {"token": "x" * 43, "style": "A"}),
        ("cast", {"token": "x" * 43, "style": "A", "prompt": "C"}),
        ("cast", {"token": "x" * 43, "style": ["A"], "prompt": "A"}),
        ("cast", {"token": "x" * 43, **ANSWERS, "sides": 1}),
        ("cast", {"token": "\x00" * 43, **ANSWERS}),
        ("cast", {"token": "x" * 100_000, **ANSWERS}),
    ],
)
def test_what_is_no_request_of_the_page_is_refused_and_not_repeated(ann: Voter, path: str, sent: Any) -> None:
    refused = ann.post(path, sent)
    assert refused.status_code == 400
    assert len(refused.json()["error"]) < 300
    for value in json.dumps(sent).split('"'):
        assert len(value) < 6 or value in ("director", "recipe", "prompt", "style", "token", "nolan") or (
            value not in refused.text
        )  # fmt: skip


def test_bodies_that_are_no_json_are_refused_before_they_are_read_in_full(ann: Voter, url: str) -> None:
    def sent(data: bytes | Iterator[bytes], kind: str = "application/json") -> requests.Response:
        return ann.session.post(f"{url}/vote/cast", data=data, headers={"Content-Type": kind}, timeout=30)

    assert "not application/json" in sent(b"{}", "text/plain").json()["error"]
    for data in (b"", b"{", b"\xff\xfe", b"[" * 4000, b'{"token": NaN'):
        assert "not JSON" in sent(data).json()["error"]
    assert f"longer than {MAX_BYTES:,} bytes" in sent(b" " * 10_000_000).json()["error"]
    assert f"longer than {MAX_BYTES:,} bytes" in sent(iter([b" " * 1000] * 20)).json()["error"], "sent in chunks"


@pytest.mark.parametrize(
    "name", ["x", "..%2f..%2fvotes.key", "%2e%2e%2fvotes%2fvotes.key", "a%00b", "C:%5cx", "é" * 30, "a" * 5000]
)
def test_a_picture_has_no_other_name_than_the_booths(ann: Voter, name: str) -> None:
    for kind in ("picture", "still"):
        refused = ann.get(f"{kind}/{name}")
        assert refused.status_code == 404
        assert len(refused.content) < 300
        assert KEY.hex() not in refused.text


def test_a_killed_server_has_written_every_vote_that_it_answered(tmp_path: Path, store: Path) -> None:
    own = tmp_path / "store"
    shutil.copytree(store, own)
    found = list[str]()

    def voting(url: str) -> None:
        done = threading.Event()
        while not done.is_set():
            try:
                told = vote(url, done.is_set, votes=1)
            except requests.RequestException:
                return
            found.extend(told.cast)

    with served(own) as (url, process):
        threads = [threading.Thread(target=voting, args=(url,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        while len(found) < 20:
            threads[0].join(0.01)
        process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
        ledger = Ledger(ledger_of(own))
        written = ledger.votes()
        ledger.close()
        assert len(found) <= len(written) <= len(found) + len(threads), "one more each may be written and unanswered"
        assert len({(one.voter, one.pair) for one in written}) == len(written)


def test_without_the_ledger_no_details_are_told(tmp_path: Path, store: Path) -> None:
    own = tmp_path / "store"
    shutil.copytree(store, own)
    with TestClient(app_of(own)) as client:
        client.get("/vote/")
        token = client.post("/vote/next", json={}).json()["token"]
        with sqlite3.connect(tmp_path / "votes" / "votes.sqlite") as connection:
            connection.execute("DROP TABLE votes")
        for path, sent in (("next", {}), ("cast", {"token": token, **ANSWERS})):
            refused = client.post(f"/vote/{path}", json=sent)
            assert (refused.status_code, refused.json()) == (503, {"error": UNREACHABLE})


def test_without_the_store_no_details_are_told(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable(*_: object, **__: object) -> bytes:
        raise ConnectionError("no route to somewhere")

    own = tmp_path / "store"
    shutil.copytree(store, own)
    with TestClient(app_of(own)) as client:
        client.get("/vote/")
        client.get("/vote/choices")
        with monkeypatch.context() as patch:
            patch.setattr(Folder, "read", unreachable)
            refused = client.post("/vote/next", json={})
        assert (refused.status_code, refused.json()) == (503, {"error": UNREACHABLE})
        assert "ConnectionError: no route to somewhere" in caplog.text
        assert client.post("/vote/next", json={}).json()["left"] == PAIRS


def test_without_a_ledger_there_is_nothing_to_ask(store: Path) -> None:
    with TestClient(app_of(store, voting=False)) as client:
        assert {client.get(path).status_code for path in ("/vote/", "/vote/choices", "/vote/picture/x")} == {404}
