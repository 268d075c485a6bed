"""The server: what a visitor gets, and what it refuses without a word of what was sent."""

import io
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import gradio as gr
import httpx
import pytest
from PIL import Image
from starlette.requests import Request

from director_diffusion.errors import CaptionError, EvaluationError, StillsError, TrainingError
from director_diffusion.studio.desk import OneDesk
from director_diffusion.studio.guarded import UNEXPECTED, told
from director_diffusion.studio.server import build_server
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.users import Users, hashed, hashes_in, is_name, read_users
from director_diffusion.studio.visitors import COOKIE, visitor_behind
from pipelines.cli.main import main
from tests.studio.conftest import RECIPE, served
from tests.studio.visitor import PATIENCE_S, Visitor

MARK = "Rosebud"  # in every hostile prompt: no log may hold it
GOOD: tuple[object, ...] = (f"{RECIPE}/nolan", "a red car", 3, 1.0, 2, "full")
FILE = {"path": f"http://127.0.0.1:1/{MARK}", "meta": {"_type": "gradio.FileData"}}


def but(place: int, value: object) -> tuple[object, ...]:
    return (*GOOD[:place], value, *GOOD[place + 1 :])


HOSTILE: dict[str, tuple[tuple[object, ...], str]] = {
    "100 kB": (but(1, MARK * 15_000), "prompt: has 105,000 characters, of at most 1,000"),
    "NUL": (but(1, f"{MARK}\0"), "prompt: holds control characters"),
    "escape": (but(1, f"\x1b[31m{MARK}"), "prompt: holds control characters"),
    "surrogate": (but(1, f"{MARK}\ud800"), "prompt: holds control characters"),
    "blank": (but(1, " \n"), "prompt: is empty"),
    "a list": (but(1, [MARK]), "prompt: a list is no text"),
    "a file": (but(1, FILE), "Files are not taken here"),
    "a file within": (but(0, [{"x": [FILE]}]), "Files are not taken here"),
    "deep": (but(1, [[[[[[[[[[MARK]]]]]]]]]]), "prompt: a list is no text"),
    "long": (but(1, f"{MARK} " * 60), "prompt: has "),
    "nobody": (but(0, f"{RECIPE}/{MARK}"), "director: a text of 7 characters names none"),
    "no recipe": (but(0, f"{MARK}/nolan"), "recipe: a text of 7 characters names none"),
    "a path": (but(0, "../../../etc/passwd"), "recipe: a text of 2 characters names none"),
    "nothing": (but(0, None), "director: is not chosen"),
    "no adapter": (but(0, f"{RECIPE}/villeneuve"), "director: has no adapter of this recipe"),
    "negative seed": (but(2, -1), "seed: a number out of bounds is refused"),
    "huge seed": (but(2, 10**400), "seed: a number out of bounds"),
    "half a seed": (but(2, 0.5), "seed: a number out of bounds"),
    "NaN seed": (but(2, float("nan")), "seed: a number out of bounds"),
    "seed in words": (but(2, MARK), "seed: a text of 7 characters"),
    "yes as seed": (but(2, True), "seed: a bool is refused"),
    "strength": (but(3, 9), "strength: a number out of bounds"),
    "infinite strength": (but(3, float("inf")), "strength: a number out of bounds"),
    "steps": (but(4, 10**9), "steps: a number out of bounds"),
    "no steps": (but(4, 0), "steps: a number out of bounds"),
    "way": (but(5, {MARK: 1}), "way: a dict names none"),
    "too few values": (GOOD[:3], "This was not understood"),
}


@pytest.fixture
def quiet(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever the test does, nothing that it sends is printed or logged, and no traceback."""
    yield
    printed = capfd.readouterr()
    said = printed.out + printed.err + caplog.text
    assert MARK not in said
    assert "Traceback" not in said


def test_a_picture_is_drawn_and_served_as_bare_pixels(visitor: Visitor) -> None:
    said = visitor.call("try", *GOOD)
    assert said.shown is not None, said.problem
    picture, told = said.shown
    assert told.startswith("nolan style, a red car  (2 steps")
    assert set(picture) == {"path", "url"}
    assert picture["path"] is None
    answer = visitor.client.get(picture["url"])
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.info) == ("PNG", {})
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_a_visitor_leaves_places_in_the_line_to_others(
    visitor: Visitor, studio: Studio, address: str, quiet: None
) -> None:
    slot, most = cast(OneDesk, studio.desk)._slot, studio.limits.each
    with (
        httpx.Client(base_url=address, timeout=PATIENCE_S) as client,
        httpx.Client(base_url=address, timeout=PATIENCE_S, headers={"cookie": visitor.cookies}) as again,
        ThreadPoolExecutor(most + 1) as pool,
    ):
        other, second_page = Visitor(client), Visitor(again)
        with slot.taken("somebody"):
            mine = [pool.submit(visitor.call, "try", *GOOD) for _ in range(most)]
            until(lambda: len(slot._line) == 1 + most)
            for page, name, given in ((visitor, "try", GOOD), (second_page, "compare", (*GOOD[:3], 2, 0))):
                said = page.call(name, *given)
                assert said.problem == f"queue full for you: {most} of your pictures are waiting. Wait for one of them."
            theirs = pool.submit(other.call, "try", *GOOD)
            until(lambda: len(slot._line) == 2 + most)
        assert all(one.result().shown is not None for one in (*mine, theirs))
    assert visitor.call("try", *GOOD).shown is not None, "there are places again"


def test_whose_places_a_call_takes(studio: Studio) -> None:
    assert studio.booth is not None
    ann, bob = (studio.booth.admit() for _ in range(2))

    def whose(user: str | None = None, cookie: str = "", host: str = "127.0.0.1") -> str:
        headers = [(b"cookie", f"{COOKIE}={cookie}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "client": (host, 1)}
        return visitor_behind(studio, gr.Request(Request(scope), username=user))

    places = [whose(cookie=ann), whose(cookie=bob), whose("ada"), whose(), whose(host="127.0.0.2")]
    assert len(set(places)) == len(places)
    assert whose(cookie=ann, host="127.0.0.2") == whose(cookie=ann)
    assert whose("ada", ann) == whose("ada", bob) == whose("ada"), (
        "a user has one share of the line, however many browsers"
    )
    assert whose(cookie="forged" * 20) == whose(cookie=MARK) == whose(), "nor does anybody get one by making up passes"


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_comparing_and_blending(visitor: Visitor) -> None:
    compared = visitor.call("compare", f"{RECIPE}/nolan", "a red car", 3, 2, 0)
    assert compared.shown is not None, compared.problem
    (base, adapter), (same, turbo), told = compared.shown
    assert adapter == same
    assert len({one["url"] for one in (base, adapter, turbo)}) == 3
    assert [line.split("  ")[0] for line in told.splitlines()] == ["a red car", *["nolan style, a red car"] * 2]
    assert visitor.call("compare", f"{RECIPE}/nolan", "a red car", 3, 2, 4).problem.startswith("turbo: no student")
    pairs = ((f"{RECIPE}/nolan", f"{RECIPE}/fincher", None, ""), (0.5, 0.5, 1, 1))
    blended = visitor.call("blend", "a red car", 3, 2, *pairs[0], *pairs[1])
    assert blended.shown is not None, blended.problem
    assert blended.shown[1].startswith("nolan style, fincher style, a red car")
    twice = visitor.call("blend", "a red car", 3, 2, *[f"{RECIPE}/nolan"] * 2, None, None, 1, 1, 1, 1)
    assert twice.problem.startswith("directors: are not all different")
    assert visitor.call("blend", "a car", 3, 2, *[None] * 4, 1, 1, 1, 1).problem.startswith("directors: are not chosen")


@pytest.mark.usefixtures("quiet")
def test_a_card_is_shown_with_its_own_pictures_alone(visitor: Visitor) -> None:
    said = visitor.call("card", f"{RECIPE}/nolan")
    assert said.shown is not None, said.problem
    (text,) = said.shown
    assert text.startswith("\n# Nolan's card")
    (picture,) = re.findall(r"\(/shelf/\w+\.png\)", text)
    assert visitor.client.get(picture[1:-1]).headers["content-type"] == "image/png"
    assert "(../../../secret.png)" in text
    for name, problem in ((f"{RECIPE}/fincher", "card: is not there yet"), (f"{MARK}/..", "recipe: a text of 7")):
        assert visitor.call("card", name).problem.startswith(problem)
    page = visitor.client.get("/config").text
    assert "&lt;b&gt;why&lt;/b&gt;" in page


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_values_are_refused_in_words_of_our_own(visitor: Visitor, name: str) -> None:
    data, problem = HOSTILE[name]
    said = visitor.call("try", *data)
    assert (said.shown, said.problem[: len(problem)]) == (None, problem)
    assert MARK not in said.problem


def test_an_adapter_that_is_not_there_is_refused_by_every_tab(
    visitor: Visitor, quiet: None, caplog: pytest.LogCaptureFixture
) -> None:
    (absent, *_), problem = HOSTILE["no adapter"]
    for said in (
        visitor.call("compare", absent, "a red car", 3, 2, 0),
        visitor.call("compare", absent, "a red car", 3, 2, 2),
        visitor.call("blend", "a red car", 3, 2, f"{RECIPE}/nolan", absent, None, None, 1, 1, 1, 1),
    ):
        assert (said.shown, said.problem[: len(problem)]) == (None, problem)
    assert not caplog.records, "nobody has to look into the log for it"


DEEP: Any = MARK
for _ in range(400):
    DEEP = [DEEP]
SELECTIONS: tuple[Any, ...] = (
    None,
    MARK,
    [MARK],
    {"path": MARK},
    {"index": {"path": MARK}, "value": 1},
    {"value": MARK},
    {"index": DEEP, "value": 1},
    {"index": 0, "value": 1, "row_value": [{"path": MARK}]},
)


@pytest.mark.parametrize("name", ["still", "caption"])
def test_a_hostile_selection_is_refused_and_not_logged(
    visitor: Visitor, name: str, quiet: None, caplog: pytest.LogCaptureFixture
) -> None:
    data = [None] if name == "still" else ["villeneuve"]  # of a still's page, the server knows
    call = {"data": data, "fn_index": visitor.calls[name]}
    for selection in SELECTIONS:
        said = visitor.post({**call, "event_data": selection})
        assert (said.shown, said.problem[:23]) == (None, "This was not understood"), selection
    picture = {"image": {"path": MARK, "url": "/shelf/x.png"}, "caption": None}  # as the page sends it
    said = visitor.post({**call, "event_data": {"index": 0, "value": picture, "row_value": ["a", "b", "c"]}})
    assert said.problem.startswith("stills: are not on show" if name == "still" else "villeneuve: has no captions yet")
    assert not caplog.records


def test_the_log_says_what_its_reader_can_mend(caplog: pytest.LogCaptureFixture) -> None:
    for kind in (CaptionError, EvaluationError, StillsError, TrainingError):
        assert told(kind("adapter.safetensors", "has another trigger", "Train it again.")).message == UNEXPECTED
        assert "adapter.safetensors: has another trigger. Train it again." in caplog.messages.pop()


@pytest.mark.usefixtures("quiet")
def test_hostile_calls_are_refused(visitor: Visitor) -> None:
    call = {"data": [MARK], "fn_index": visitor.calls["try"]}
    for change, status, problem in (
        ({"fn_index": 10**6}, 404, "There is no such call"),
        ({"fn_index": -1}, 404, "There is no such call"),
        ({"fn_index": MARK}, 422, "This was not understood"),
        ({"data": MARK}, 422, "This was not understood"),
        ({"session_hash": [MARK]}, 422, "This was not understood"),
        ({"data": [MARK * 100_000]}, 413, "The request has more than 256 kB"),
    ):
        said = visitor.post({**call, **change})
        assert (said.status, said.problem[: len(problem)]) == (status, problem)

    def sent(content: object) -> tuple[int, str]:
        headers = {"content-type": "application/json"}
        answer = visitor.client.post("/gradio_api/queue/join", content=content, headers=headers)  # type: ignore[arg-type]
        return answer.status_code, answer.json()["detail"]

    assert sent("[" * 100_000)[0] == 400
    assert sent(b"\xff\xfe")[0] in (400, 422)
    assert sent(b"x" * 10_000 for _ in range(100)) == (413, "The request has more than 256 kB. Send less.")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/upload",
        "/gradio_api/component_server",
        "/gradio_api/run/try",
        "/gradio_api/call/try",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/deep_link",
        "/monitoring",
        "/openapi.json",
        "/shelf/nothing.png",
        "/shelf/..%2Fnothing.png",
        f"/{MARK}",
    ],
)
def test_other_addresses_are_shut(visitor: Visitor, path: str) -> None:
    assert visitor.client.get(path).status_code in (403, 404)
    assert visitor.client.post(path, json={"data": [MARK]}).status_code in (403, 404, 405)


def test_no_file_of_the_store_and_no_path_is_told(visitor: Visitor, studio: Studio) -> None:
    name = f"{studio.store.files.root}/votes/votes.key"
    assert visitor.client.get(f"/gradio_api/file={name}").status_code in (403, 404)
    for path in ("/", "/config", "/gradio_api/info"):
        assert studio.store.files.root not in visitor.client.get(path).text


def test_a_pass_comes_with_the_page_and_stays(address: str, studio: Studio) -> None:
    with httpx.Client(base_url=address) as client:
        first = client.get("/").headers["set-cookie"]
        assert all(word in first for word in ("HttpOnly", "SameSite=lax", "Path=/"))
        assert "set-cookie" not in client.get("/").headers
        assert studio.booth is not None
        assert studio.booth.voter_of(client.cookies[COOKIE]).startswith("pass-")
    with httpx.Client(base_url=address, cookies={COOKIE: "forged" * 20}) as client:
        assert "set-cookie" in client.get("/").headers


def test_other_sites_and_other_names_are_turned_away(address: str) -> None:
    own = {"host": address.removeprefix("http://")}
    assert httpx.get(address, headers={"host": "evil.example"}).status_code == 403
    assert httpx.get(address, headers={"host": "localhost:1"}).status_code == 200
    join = f"{address}/gradio_api/queue/join"
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert httpx.post(join, json={}, headers={**own, **headers}).status_code == 403
    assert httpx.post(join, json={}, headers={**own, "origin": address}).status_code == 422


def test_users_are_asked_for_their_names(studio: Studio) -> None:
    server = served(build_server(studio, users=Users({"ada": hashed("correct horse")}), tabs=()))
    address = next(server)
    for path in ("/", "/config", "/shelf/x.png", "/gradio_api/info", "/assets/x.js", "/theme.css"):
        for auth in (None, ("ada", "wrong"), ("eve", "correct horse")):
            assert httpx.get(address + path, auth=auth).status_code == 401
    assert httpx.get(address, headers={"authorization": "Basic ===="}).status_code == 401
    answer = httpx.get(address, auth=("ada", "correct horse"), headers={"host": "studio.example"})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert '"username":"ada"' in answer.text
    next(server, None)


def test_the_file_of_users(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "users"
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert main(["app-user", "ada", "--users", str(path)]) == 0
    assert path.stat().st_mode & 0o077 == 0
    assert read_users(path).knows("ada", "correct horse")
    assert main(["app-user", "ada", "--users", str(path)]) == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert main(["app-user", "bob", "--users", str(path)]) == 1
    path.write_text(f"# nobody\nbob: {hashed('x')}")  # an editor that ends no last line
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert main(["app-user", "ada", "--users", str(path)]) == 0
    assert set(hashes_in(path)) == {"ada", "bob"}
    path.write_text("")  # the one line was deleted, as the tool says
    monkeypatch.setattr("sys.stdin", io.StringIO("another horse\n"))
    assert main(["app-user", "ada", "--users", str(path)]) == 0
    assert read_users(path).knows("ada", "another horse")
    path.write_text("ada: plain\n")
    assert main(["app", "--host", "0.0.0.0", "--users", str(path)]) == 1
    path.write_text("")
    assert main(["app", "--host", "0.0.0.0", "--users", str(path)]) == 1
    assert main(["app", "--host", "0.0.0.0"]) == 1
    said = capsys.readouterr().err
    for words in ("has ada already", "has 5 characters", "line 1: is no `name: hash`", "names nobody", "needs --users"):
        assert words in said
    assert not any(map(is_name, ("pass-1", "", "a b", "ä", "a:b")))
