"""The page in a headless Chromium: it asks nobody but its own server, and draws."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

from director_diffusion.leaderboard.rows import Entry, write_leaderboard
from director_diffusion.storage import Manifest
from director_diffusion.storage.artifact import describe_files, set_latest, write_artifact
from director_diffusion.studio.studio import Studio
from tests.ui.dagster_pages import ARGUMENTS, CHROMIUM, PATIENCE_MS

pytestmark = [
    pytest.mark.ui,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; on Debian: apt-get install chromium"),
]


LONG = Entry(
    "mini_lora_turbo_of_all", "mini", "villeneuve", "joint_adapter", verdict="undecided", tier="release",
    style=-0.05, style_low=-0.14, style_high=0.06, prompt=-0.05, prompt_low=-0.14, prompt_high=0.06,
    votes=12_345, preliminary=True, voted_style=0.75, voted_style_low=0.4, voted_style_high=0.9,
    voted_prompt=1.0, voted_prompt_low=1.0, voted_prompt_high=1.0, size_bytes=1_234_567_890,
    training_steps=123_456, training_seconds=123_456.0, images_per_second=123.45,
    reasons=("undecided: why it is so, " * 20,), notes=("a <b>note</b>",),
)  # fmt: skip


def test_the_leaderboard_is_read_without_scrolling(address: str, studio: Studio, tmp_path: Path) -> None:
    write_leaderboard([LONG, replace(LONG, director="nolan", entrant="turbo_4", reasons=(), notes=())], tmp_path)
    made = Manifest(asset=("leaderboard",), partition=None, key="k", plain_key="k", version="v",
                    files=describe_files(tmp_path), code_version="c", seconds=0.0)  # fmt: skip
    set_latest(write_artifact(studio.store, tmp_path, made))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        page.get_by_role("tab", name="Leaderboard").click()
        table = page.locator("table.leaderboard")
        expect(table).to_be_visible()
        told = " ".join(table.inner_text().split())
        for words in ("-0.050 [-0.140, +0.060]", "75% [40%, 90%] of 12,345, preliminary", "100% [100%, 100%]",
                      "1,234.57 MB", "123,456 steps, 123,456 s", "123.45", "undecided (release)"):  # fmt: skip
            assert words in told
        fits = "table => table.scrollWidth <= table.parentElement.clientWidth"
        assert table.evaluate(fits)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        verdict = table.get_by_text("undecided", exact=True).first
        assert verdict.evaluate("line => getComputedStyle(line).color") == "rgb(138, 109, 0)"
        why = table.get_by_text("a <b>note</b>")
        expect(why).to_be_hidden()
        table.locator("summary").click()
        expect(why).to_be_visible()
        assert table.evaluate(fits)
        assert why.evaluate("note => note.parentElement.clientWidth") > 600, (
            "reasons are read in lines, not in a column"
        )
        browser.close()


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
        expect(picture).to_be_visible()  # the first one waits for libraries and base
        assert picture.evaluate("image => image.complete && image.naturalWidth") == 88
        browser.close()
    assert asked == {urlsplit(address).netloc}
    assert said == []
