"""Dagster's pages in a headless Chromium, as far as tests and screenshots look at them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, ViewportSize, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
WINDOW: ViewportSize = {"width": 1600, "height": 1000}
PATIENCE_MS = 60_000
SETTLING_MS = 1_500  # the graph is laid out, or moves, for so long at most
LOOK_MS = 250
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What is expected of a page may wait for as long as what is done to it: a busy machine is no defect of ours.
expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def open_pages(url: str, scale: float = 1) -> Iterator["DagsterPages"]:
    """The UI at `url`, in a fresh browser with `scale` device pixels to a pixel of the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport=WINDOW, device_scale_factor=scale)
        page.set_default_timeout(PATIENCE_MS)
        # What the buttons at the left edge would do: the navigation as icons, all of the window for the page.
        page.add_init_script("localStorage.setItem('dagster-nav-collapsed', 'true')")
        try:
            yield DagsterPages(page, url)
        finally:
            browser.close()


class DagsterPages:
    """The pages that a person looks at: the lineage of all assets, and one asset's partition."""

    def __init__(self, page: Page, url: str):
        self.page, self._url = page, url

    def open_lineage(self) -> Locator:
        """The global asset lineage with every group unfolded.  Returns the picture of the graph, of which the UI draws
        only what is inside its window.
        """
        self.page.goto(f"{self._url}/asset-groups")
        search = self.page.get_by_placeholder("Jump to…")
        expect(search).to_be_visible()
        search.locator("xpath=following::button[1]").click()  # folds the list of assets away
        expect(search).to_be_hidden()
        expect(self.page.get_by_text("Loading")).to_have_count(0)
        self.page.keyboard.press("Alt+e")
        graph = self.page.locator("svg:has(foreignObject)")
        expect(graph.get_by_text("published_model", exact=True).first).to_be_visible()
        self.page.wait_for_timeout(SETTLING_MS)
        return graph

    def zoom_out(self) -> None:
        """See more of a graph; from very far the UI writes no names."""
        self.page.get_by_label("zoom_out").first.click()
        self._settle()

    def pull(self, across: float, down: float) -> None:
        """Pull a graph by shares of the window's sides: down shows what lies above."""
        x, y = WINDOW["width"] / 2, WINDOW["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + across * WINDOW["width"], y + down * WINDOW["height"], steps=5)
        self.page.mouse.up()
        self._settle()

    def _settle(self) -> None:
        """Wait until a graph is drawn as it was a moment ago."""
        before = None
        for _ in range(SETTLING_MS // LOOK_MS):
            self.page.wait_for_timeout(LOOK_MS)
            now = "".join(
                self.page.locator("svg:has(foreignObject)").evaluate_all("all => all.map(one => one.outerHTML)")
            )
            if now == before:
                return
            before = now

    def open_asset(self, name: str, partition: str) -> None:
        """What is known of the latest materialization of an asset's partition."""
        self.page.goto(f"{self._url}/assets/{name}?view=partitions&partition={partition}")
        expect(self.page.get_by_text("Latest materialization")).to_be_visible()

    def show_pictures(self, label: str) -> Locator:
        """Unfold what the latest materialization says under `label`.  Returns its pictures, all of them loaded."""
        row = self.page.get_by_role("row").filter(has=self.page.get_by_role("cell", name=label, exact=True))
        row.get_by_text("[Show Markdown]").click()
        pictures = self.page.get_by_role("dialog").get_by_role("img").and_(self.page.locator("img"))
        expect(pictures.first).to_be_visible()
        for picture in pictures.all():
            expect(picture).to_have_js_property("complete", True)
        return pictures
