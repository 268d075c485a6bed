"""Takes the screenshots of docs/images from a running UI; needs Chromium.

    director run nolan fincher
    director dev &
    python -m docs.take_screenshots http://127.0.0.1:3000 --director nolan

Run it in the checkout, and again whenever what the pictures show has changed.
"""

import argparse
import io
from pathlib import Path

from PIL import Image

from tests.ui.dagster_pages import WINDOW, DagsterPages, open_pages

IMAGES = Path(__file__).parent / "images"
SCALE = 1.5  # device pixels to a pixel of the page: letters stay sharp when a README shrinks the picture
COLOURS = 256
DIALOG_MARGIN = 70  # pixels that Dagster keeps free above and below a dialog
SETTLE_MS = 2500  # for what moves into its place: the graph's layout, dialogs


def main() -> None:
    """Save lineage.png, stills.png and adapter.png."""
    parser = argparse.ArgumentParser(description="Takes the screenshots of docs/images from a running UI.")
    parser.add_argument("url", help="where the UI is, such as http://127.0.0.1:3000")
    parser.add_argument("--director", default="nolan", help="whose pictures to show; all stages must be materialized")
    parser.add_argument("--recipe", default="mini_lora")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    with open_pages(options.url.rstrip("/"), scale=SCALE) as pages:
        pages.open_lineage()
        save(pages, "lineage")
        for name, asset, label in (
            ("stills", "stills", "contact sheet"),
            ("adapter", f"{options.recipe}/adapter", "training curve"),
        ):
            pages.open_asset(asset, options.director)
            pages.show_pictures(label)
            make_room_for_dialog(pages)
            save(pages, name, of_dialog=True)


def make_room_for_dialog(pages: DagsterPages) -> None:
    """Heighten the window until all of the opened dialog is in it."""
    dialog = pages.page.get_by_role("dialog").bounding_box()
    assert dialog is not None, "no dialog is open"
    height = max(WINDOW["height"], round(dialog["height"] + 2 * DIALOG_MARGIN))
    pages.page.set_viewport_size({"width": WINDOW["width"], "height": height})


def save(pages: DagsterPages, name: str, *, of_dialog: bool = False) -> None:
    """The window as it is, or its dialog alone (what lies behind it names places on this machine), in few colours."""
    pages.page.wait_for_timeout(SETTLE_MS)
    shot = pages.page.get_by_role("dialog").screenshot() if of_dialog else pages.page.screenshot()
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    path = IMAGES / f"{name}.png"
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {picture.width} × {picture.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
