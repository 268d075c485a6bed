"""The gate: nobody outside can stop the studio, or read it through somebody's browser."""

import asyncio
import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from director_diffusion.studio.gate import GUESSES
from director_diffusion.studio.hosts import is_loopback
from director_diffusion.studio.server import build_server
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.users import Users, add_user, hashed, read_users
from tests.studio.conftest import served

ADA = ("ada", "correct horse")
NAMED = {"host": "studio.example"}
ELSEWHERE = {"origin": "http://evil.example"}


class SlowForEve(Users):
    """Hashing Eve's guesses takes until it is let go."""

    def __init__(self) -> None:
        super().__init__({ADA[0]: hashed(ADA[1])})
        self.let_go = threading.Event()

    def knows(self, name: str, password: str) -> bool:
        if name == "eve":
            self.let_go.wait()
        return super().knows(name, password)


@pytest.fixture(scope="module")
def users() -> SlowForEve:
    return SlowForEve()


@pytest.fixture(scope="module")
def gated(studio: Studio, users: SlowForEve) -> Iterator[str]:
    """A studio with names, without tabs."""
    yield from served(build_server(studio, users=users, tabs=()))


def test_guesses_keep_no_user_waiting(gated: str, users: SlowForEve) -> None:
    async def guess_and_look() -> tuple[list[int], list[int]]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=gated, timeout=20, limits=limits) as client:
            assert (await client.get("/", auth=ADA)).status_code == 200
            guesses = [asyncio.create_task(client.get("/", auth=("eve", str(number)))) for number in range(60)]
            try:
                async with asyncio.timeout(20):
                    while sum(guess.done() for guess in guesses) < 60 - GUESSES:
                        await asyncio.sleep(0.05)
                seen = [(await client.get(path, auth=ADA)).status_code for path in ("/", "/shelf/x.png")]
            finally:
                users.let_go.set()
            answers = [(await guess).status_code for guess in guesses]
            return seen, answers

    seen, answers = asyncio.run(guess_and_look())
    assert seen == [200, 404]
    assert (answers.count(401), answers.count(503)) == (GUESSES, 60 - GUESSES)
    assert httpx.get(gated, auth=ADA).status_code == 200


def test_the_file_of_users_counts_as_it_is_now(
    studio: Studio, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users"
    for name in ("ada", "bob", "cid"):
        add_user(path, name, f"{name}'s password")
    known = read_users(path)

    def status(address: str, name: str, password: str) -> int:
        return httpx.get(address, auth=(name, password), timeout=20).status_code

    for address in served(build_server(studio, users=known, tabs=())):
        assert [status(address, name, f"{name}'s password") for name in ("ada", "bob", "cid")] == [200] * 3
        cids = path.read_text().splitlines()[2]
        path.write_text(f"{cids}\n")  # bob's line is deleted, and ada's for another password
        add_user(path, "ada", "another password")
        assert status(address, "bob", "bob's password") == 401
        assert status(address, "ada", "ada's password") == 401
        assert status(address, "ada", "another password") == 200
        assert known.remembers("cid", "cid's password"), "whose line is the same is not asked to wait for a hash"
        assert not caplog.records

        with path.open("a") as file:
            file.write("dora: plain\n")
        assert [status(address, *cid) for cid in 2 * [("cid", "cid's password")]] == [401, 401]
        (record,) = caplog.records
        assert f"{path}, line 3: is no `name: hash`" in record.getMessage()
        path.write_text(f"{cids}\n")
        assert status(address, "cid", "cid's password") == 200
        path.unlink()
        assert status(address, "cid", "cid's password") == 401


@pytest.mark.parametrize("path", ["/", "/config", "/shelf/x.png"])
def test_no_other_sites_page_reads_an_answer(gated: str, path: str) -> None:
    def asked(headers: dict[str, str], method: str = "GET") -> httpx.Response:
        return httpx.request(method, gated + path, auth=ADA, headers={**NAMED, **headers})

    for headers in (ELSEWHERE, {"origin": "null"}, {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert asked(headers, method).status_code == 403
    own = asked({"origin": "http://studio.example"})
    assert own.status_code in (200, 404)
    assert not [name for name in own.headers if name.startswith("access-control-")]
    link = asked({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
    assert link.status_code == own.status_code


def test_a_question_about_the_server_as_a_whole_is_refused(
    address: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    connection.request("OPTIONS", "*")
    assert connection.getresponse().status == 404
    connection.close()
    printed = capfd.readouterr()
    assert "Traceback" not in caplog.text + printed.out + printed.err


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("localhost", True),
        ("[::1]", True),
        ("127.0.0.1.evil.example", False),
        ("0.0.0.0", False),
        ("192.168.0.1", False),
        ("", False),
    ],
)
def test_what_may_be_served_without_users_is_what_is_answered(address: str, host: str, is_ours: bool) -> None:
    assert is_loopback(host) is is_ours
    assert httpx.get(address, headers={"host": f"{host}:1"}).status_code == (200 if is_ours else 403)
