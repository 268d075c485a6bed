"""The studio over a finished project in a headless Chromium: every tab does its work, and the store has it."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from director_diffusion.storage import Store
from director_diffusion.training.picks import read_pick
from director_diffusion.voting.ledger import Ledger
from tests.small_configs import surroundings_of
from tests.tiny_project import TinyProject
from tests.ui.dagster_pages import ARGUMENTS, CHROMIUM
from tests.ui.studio_pages import StudioPages, running_studio

pytestmark = [
    pytest.mark.ui,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; on Debian: apt-get install chromium"),
]

NOLAN = "Christopher Nolan"
PROMPT = "a red car on sand"


@pytest.fixture(scope="module")
def project(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    return made.copy(tmp_path_factory.mktemp("walked") / "project")


@pytest.fixture(scope="module")
def url(project: TinyProject) -> Iterator[str]:
    with running_studio(surroundings_of(project.folder)) as address:
        yield address


@pytest.fixture(scope="module")
def chromium(url: str) -> Iterator[Browser]:
    """Closed before the studio, which would wait for its pages to hang up."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def test_all_tabs_in_a_row(chromium: Browser, url: str, project: TinyProject) -> None:
    ann, bob = StudioPages(chromium, url), StudioPages(chromium, url)
    store = Store(str(project.folder / "store"))

    panel = ann.open("Gallery")
    expect(panel.get_by_role("cell", name=NOLAN)).to_be_visible()
    panel.get_by_label("Card of").click()
    ann.page.get_by_role("option").first.click()
    expect(panel.get_by_role("heading").first).to_be_visible()

    panel = ann.open("Try")
    ann.choose(panel, "Director", NOLAN)
    panel.get_by_label("Prompt").fill(PROMPT)
    ann.draw(panel, "Draw", 1)

    panel = ann.open("Compare")
    ann.choose(panel, "Director", NOLAN)
    panel.get_by_label("Prompt").fill(PROMPT)
    ann.draw(panel, "Draw all", 2)  # the base and the adapter: this recipe teaches no students

    panel = ann.open("Blend")
    ann.choose(panel, "Director 1", NOLAN)
    panel.get_by_label("Prompt").fill(PROMPT)
    ann.draw(panel, "Draw", 1)

    panel = ann.open("Stills")
    ann.choose(panel, "Director", NOLAN)
    panel.get_by_role("button", name="Show", exact=True).click()
    panel.locator("button.thumbnail-item").first.click()
    expect(panel.locator(".drawn img")).to_be_visible()  # before anything is typed, which it would empty
    panel.get_by_label("Reason").fill("out of focus")
    panel.get_by_role("button", name="Reject", exact=True).click()
    expect(panel.get_by_text("out of focus").first).to_be_visible()
    (decision,) = (project.folder / "store" / "stills" / "nolan").rglob("*.decision.yaml")
    assert "reject" in decision.read_text()

    panel = ann.open("Captions")
    ann.choose(panel, "Director", NOLAN)
    ann.choose(panel, "Show", "all")
    panel.get_by_text(re.compile(r"/still_\d+")).filter(visible=True).last.click()
    expect(panel.locator(".drawn img")).to_be_visible()
    panel.get_by_label("Caption", exact=True).fill("a quiet street under snow")
    for _ in range(2):  # the second time in spite of the rules' warnings, if there are some
        panel.get_by_role("button", name="Save", exact=True).click()
        ann.page.wait_for_timeout(1000)
    written = [path.read_text() for path in (project.folder / "store" / "stills" / "nolan").rglob("*.txt")]
    assert "a quiet street under snow\n" in written

    panel = ann.open("Checkpoints")
    ann.choose(panel, "Director", NOLAN)
    expect(panel.locator(".drawn img")).to_be_visible()
    panel.get_by_label("Who").fill("ann")
    panel.get_by_label("Why").fill("calmer")
    panel.get_by_role("button", name="Pick this step").click()
    expect(panel.get_by_text("calmer").first).to_be_visible()
    pick = read_pick(store, "mini_lora", "nolan")
    assert pick is not None
    assert pick.who == "ann"

    for voter in (ann, bob):
        frame = voter.open_vote()
        expect(frame.locator("#vote")).to_be_enabled()
        left = frame.locator("#left").inner_text()
        for key in ("a", "t", "Enter"):
            frame.locator("body").press(key)
        expect(frame.locator("#left")).not_to_have_text(left)
    ann.page.reload()

    panel = ann.open("Leaderboard")
    expect(panel.get_by_text("nolan").first).to_be_visible()
    ledger = Ledger(f"sqlite:///{project.folder}/store/votes/votes.sqlite")
    assert [(vote.style, vote.prompt) for vote in ledger.votes()] == [("A", "tie")] * 2
    ledger.close()
    assert not [words for one in (ann, bob) for words in one.said]
    assert ann.asked | bob.asked == {urlsplit(url).netloc}, "nobody else was asked for anything"
