"""The tab Vote in a headless Chromium: two people vote, reload, and find nothing that tells pictures apart."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, FrameLocator, Page, Route, expect, sync_playwright

from director_diffusion.storage import Store
from director_diffusion.voting.exhibition import Exhibition
from director_diffusion.voting.ledger import Ledger
from tests.small_configs import small_configs, surroundings_of
from tests.ui.dagster_pages import ARGUMENTS, CHROMIUM
from tests.voting.show import COLOURS, DIRECTORS, PROMPTS, RECIPE, arm_of, colour_of, set_up

pytestmark = [
    pytest.mark.ui,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; on Debian: apt-get install chromium"),
]

PAIRS = 2 * PROMPTS * len(DIRECTORS)
EACH = 10  # votes of one voter


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio")
    small_configs(folder)
    set_up(Store(str(folder / "store")))
    return folder


@pytest.fixture(scope="module")
def url(project: Path) -> Iterator[str]:
    """A studio over that project."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli.main", "app", "--port", str(port)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **surroundings_of(project)},
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    try:
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/vote/choices", timeout=5).raise_for_status()
                break
            except requests.ConnectionError:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def chromium(url: str) -> Iterator[Browser]:
    """Closed before the studio, which would wait for its pages to hang up."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Voter:
    """A person with a browser of their own, of which all traffic is kept."""

    def __init__(self, chromium: Browser, url: str):
        self.page: Page = chromium.new_context(viewport={"width": 1400, "height": 1100}).new_page()
        self.heard: list[tuple[str, bytes]] = []  # what came from the voting routes, with its address
        self.page.route(re.compile(r"/vote/(?!still/)"), self._hear)  # stills stay in the browser's cache
        self.page.goto(url)
        self.frame = self.open_tab()

    def open_tab(self) -> FrameLocator:
        self.page.get_by_role("tab", name="Vote").click()
        frame = self.page.frame_locator("iframe[title=Vote]")
        expect(frame.locator("#a")).to_be_visible()
        return frame

    def left(self, pairs: int) -> None:
        expect(self.frame.locator("#left")).to_have_text(f"{pairs} {'pair' if pairs == 1 else 'pairs'} left")

    def vote(self, *keys: str) -> None:
        expect(self.frame.locator("#vote")).to_be_enabled()
        for key in (*keys, "Enter"):
            self.frame.locator("body").press(key)

    def _hear(self, route: Route) -> None:
        response = route.fetch()
        self.heard.append((response.url, response.body()))
        route.fulfill(response=response)


def test_two_people_vote_reload_and_learn_nothing(chromium: Browser, url: str, project: Path) -> None:
    ann, bob = Voter(chromium, url), Voter(chromium, url)
    chosen = {"ann": [("a", "t"), ("b", "n")] * (EACH // 2), "bob": [("t", "a"), ("n", "b")] * (EACH // 2)}
    for voter, answers in ((ann, chosen["ann"]), (bob, chosen["bob"])):
        for number, keys in enumerate(answers):
            voter.left(PAIRS - number)
            voter.vote(*keys)
            if number == EACH // 2:
                voter.left(PAIRS - number - 1)
                voter.page.reload()
                voter.frame = voter.open_tab()
        voter.left(PAIRS - EACH)

    ledger = Ledger(f"sqlite:///{project}/store/votes/votes.sqlite")
    votes = ledger.votes()
    ledger.close()
    of = {"a": "A", "b": "B", "t": "tie", "n": "neither"}
    by_voter = [
        [(vote.style, vote.prompt) for vote in votes if vote.voter == who]
        for who in dict.fromkeys(v.voter for v in votes)
    ]
    assert by_voter == [[(of[style], of[prompt]) for style, prompt in answers] for answers in chosen.values()]

    show = Exhibition(Store(str(project / "store")), DIRECTORS, [RECIPE]).now()
    hidden = [*show.pairs, *show.pictures, *(shown.reference for shown in show.pictures.values()), "cache/"]
    hidden.append((project / "store" / "votes" / "votes.key").read_text())
    for voter in (ann, bob):
        state = voter.frame.locator("html").evaluate("page => page.outerHTML + JSON.stringify(Object.keys(window))")
        kept = voter.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        texts = [("page", state), ("storage", kept), *((at, body.decode("latin1")) for at, body in voter.heard)]
        for where, text in texts:
            assert not [word for word in (*hidden, *COLOURS, RECIPE) if word in text], where
        names = [at.rpartition("/")[2] for at, _ in voter.heard if "/picture/" in at]
        assert len(set(names)) == len(names) >= 2 * EACH, "a name is for once"
        assert all(re.fullmatch(r"[0-9a-f]{24}[A-Za-z0-9_-]{43}", name) for name in names)
        pictures = [arm_of(colour_of(body)) for at, body in voter.heard if "/picture/" in at]
        assert "adapter" in pictures[::2]
        assert "adapter" in pictures[1::2], "on either side"


def test_a_second_vote_and_a_lost_ballot_are_told_and_the_next_pair_comes(chromium: Browser, url: str) -> None:
    cyd = Voter(chromium, url)
    cyd.vote("a")
    expect(cyd.frame.locator("#told")).to_have_text("Answer both questions first.")
    token = cyd.frame.locator("body").evaluate("() => token")
    cyd.frame.locator("body").evaluate(
        "(_, sent) => fetch('cast', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: sent})",
        json.dumps({"token": token, "style": "B", "prompt": "B"}),
    )
    cyd.vote("a", "b")
    expect(cyd.frame.locator("#told")).to_contain_text("the first stands")
    cyd.left(PAIRS - 1)
    cyd.frame.locator("#director").select_option("nolan")
    expect(cyd.frame.locator("#whose")).to_have_text("Christopher Nolan")
