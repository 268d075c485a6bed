"""The page in a headless Chromium: it asks nobody but its own server, and draws."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.ui.dagster_pages import ARGUMENTS, CHROMIUM, PATIENCE_MS

pytestmark = [
    pytest.mark.ui,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; on Debian: apt-get install chromium"),
]


def test_drawing_in_the_page(address: str) -> None:
    asked, said = set[str](), list[str]()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        expect(page.get_by_role("cell", name="Christopher Nolan")).to_be_visible()
        expect(page.locator("script", has_text="alert(1)")).to_have_count(0)
        page.get_by_role("tab", name="Try").click()
        panel = page.get_by_role("tabpanel").filter(visible=True)
        panel.get_by_label("Director", exact=True).click()
        page.get_by_role("option", name="Christopher Nolan").click()
        panel.get_by_role("button", name="Draw").click()
        expect(page.get_by_text("prompt: is empty. Say what the picture shows.").first).to_be_visible()
        panel.get_by_label("Prompt").fill("a red car")
        panel.get_by_role("button", name="Draw").click()
        picture = panel.locator("img[src*='/shelf/']")
        expect(picture).to_be_visible(timeout=PATIENCE_MS)  # the first one waits for libraries and base
        assert picture.evaluate("image => image.complete && image.naturalWidth") == 88
        browser.close()
    assert asked == {urlsplit(address).netloc}
    assert said == []
