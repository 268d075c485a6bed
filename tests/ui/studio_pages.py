"""The studio's page in a headless Chromium, as far as tests and screenshots look at it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect

from tests.ui.dagster_pages import PATIENCE_MS

ROOT = Path(__file__).parents[2]
STARTS_S = 120


@contextmanager
def running_studio(surroundings: Mapping[str, str]) -> Iterator[str]:
    """`director app` in a process of its own.  Gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "pipelines.cli.main", "app", "--port", address.rpartition(":")[2]]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **surroundings}, stdout=subprocess.DEVNULL)
    until = time.monotonic() + STARTS_S
    try:
        while True:
            try:
                requests.get(f"{address}/vote/choices", timeout=5).raise_for_status()
                break
            except requests.ConnectionError:
                assert process.poll() is None, "the studio ended"
                assert time.monotonic() < until, "the studio does not answer"
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


class StudioPages:
    """One visitor with a browser's context of their own."""

    def __init__(self, browser: Browser, url: str, scale: float = 1):
        context = browser.new_context(viewport={"width": 1400, "height": 1000}, device_scale_factor=scale)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.asked, self.said = set[str](), list[str]()  # hosts that were asked; errors, and what the console was told
        self.page.on("request", lambda request: self.asked.add(urlsplit(request.url).netloc))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(url)

    def open(self, tab: str) -> Locator:
        """A tab's panel."""
        self.page.get_by_role("tab", name=tab, exact=True).click()
        return self.page.get_by_role("tabpanel").filter(visible=True)

    def open_vote(self) -> FrameLocator:
        """The voting page, with a pair on it."""
        self.page.get_by_role("tab", name="Vote", exact=True).click()
        frame = self.page.frame_locator("iframe[title=Vote]")
        expect(frame.locator("#a")).to_be_visible()
        return frame

    def choose(self, panel: Locator, label: str, option: str) -> None:
        panel.get_by_label(label, exact=True).click()
        wanted = self.page.get_by_role("option", name=option, exact=True)
        wanted.click()
        expect(wanted).to_have_count(0)  # the list folds away before the next one opens

    def draw(self, panel: Locator, button: str, pictures: int) -> None:
        """Press the button and see so many pictures of the shelf, whole."""
        panel.get_by_role("button", name=button, exact=True).click()
        drawn = panel.locator("img[src*='/shelf/']")
        expect(drawn).to_have_count(pictures)  # the first one waits for libraries and base
        for one in drawn.all():
            expect(one).to_have_js_property("complete", True)
