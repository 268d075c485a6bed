"""Takes the screenshots of docs/images from a running UI and a running studio; needs Chromium.

    director run
    director dev & director app &
    python -m docs.take_screenshots http://127.0.0.1:3000 --director nolan
    python -m docs.take_screenshots http://127.0.0.1:7860 --director nolan --studio

Run it in the checkout, and again whenever what the pictures show has changed.
"""

import argparse
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from director_diffusion.catalog import load_catalog
from tests.ui.dagster_pages import ARGUMENTS, CHROMIUM, WINDOW, DagsterPages, open_pages
from tests.ui.studio_pages import StudioPages

ROOT = Path(__file__).parents[1]
PROMPT = "a red car on sand"
IMAGES = Path(__file__).parent / "images"
SCALE = 1.5  # device pixels to a pixel of the page: letters stay sharp when a README shrinks the picture
COLOURS = 256
DIALOG_MARGIN = 70  # pixels that Dagster keeps free above and below a dialog
WHOLE_GRAPH: ViewportSize = {"width": 1500, "height": 2000}  # one step out, it shows all from stills to leaderboard
SETTLE_MS = 2500  # for what moves into its place: the graph's layout, dialogs


def main() -> None:
    """Save lineage.png, stills.png and adapter.png; of a studio compare.png, vote.png, curate.png, leaderboard.png."""
    parser = argparse.ArgumentParser(description="Takes the screenshots of docs/images from a running UI or studio.")
    parser.add_argument("url", help="where it is, such as http://127.0.0.1:3000")
    parser.add_argument("--studio", action="store_true", help="it is a studio")
    parser.add_argument("--director", default="nolan", help="whose pictures to show; all stages must be materialized")
    parser.add_argument("--recipe", default="mini_lora")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    if options.studio:
        of_studio(options.url.rstrip("/"), options.director)
        return
    with open_pages(options.url.rstrip("/"), scale=SCALE) as pages:
        pages.page.set_viewport_size(WHOLE_GRAPH)
        pages.open_lineage()
        pages.zoom_out()
        save(pages, "lineage")
        pages.page.set_viewport_size(WINDOW)
        for name, asset, label in (
            ("stills", "stills", "contact sheet"),
            ("adapter", f"{options.recipe}/adapter", "training curve"),
        ):
            pages.open_asset(asset, options.director)
            pages.show_pictures(label)
            make_room_for_dialog(pages)
            save(pages, name, of_dialog=True)


def of_studio(url: str, director: str) -> None:
    """Four of its tabs."""
    name = load_catalog(ROOT / "configs").directors[director].name
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        pages = StudioPages(browser, url, scale=SCALE)
        panel = pages.open("Compare")
        pages.choose(panel, "Director", name)
        panel.get_by_label("Prompt").fill(PROMPT)
        panel.get_by_role("button", name="Draw all", exact=True).click()
        expect(panel.locator("img[src*='/shelf/']").nth(1)).to_be_visible()
        save_page(pages.page, "compare")
        panel = pages.open("Stills")
        pages.choose(panel, "Director", name)
        expect(panel.locator("button.thumbnail-item").first).to_be_visible()
        panel.locator("button.thumbnail-item").nth(1).click()
        expect(panel.locator(".drawn img")).to_be_visible()
        save_page(pages.page, "curate")
        pages.open_vote()
        save_page(pages.page, "vote")
        pages.open("Leaderboard")
        save_page(pages.page, "leaderboard")
        browser.close()


def make_room_for_dialog(pages: DagsterPages) -> None:
    """Heighten the window until all of the opened dialog is in it."""
    dialog = pages.page.get_by_role("dialog").bounding_box()
    assert dialog is not None, "no dialog is open"
    height = max(WINDOW["height"], round(dialog["height"] + 2 * DIALOG_MARGIN))
    pages.page.set_viewport_size({"width": WINDOW["width"], "height": height})


def save(pages: DagsterPages, name: str, *, of_dialog: bool = False) -> None:
    """The window as it is, or its dialog alone: what lies behind it names places on this machine."""
    if of_dialog:
        pages.page.wait_for_timeout(SETTLE_MS)
        keep(pages.page.get_by_role("dialog").screenshot(), name)
    else:
        save_page(pages.page, name)


def save_page(page: Page, name: str) -> None:
    """The window as it is."""
    page.wait_for_timeout(SETTLE_MS)
    keep(page.screenshot(), name)


def keep(shot: bytes, name: str) -> None:
    """In few colours."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    path = IMAGES / f"{name}.png"
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {picture.width} × {picture.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
