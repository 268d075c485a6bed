"""What a person sees in the UI: the lineage of every stage, and the pictures of a director's stills and captions."""

import re
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Locator

from tests.dagster_server import DagsterServer
from tests.ui.dagster_pages import CHROMIUM, DagsterPages, open_pages

pytestmark = [
    pytest.mark.ui,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; on Debian: apt-get install chromium"),
]

DIRECTOR = "nolan"
ZOOMS = 2  # from further away, nodes have no names
UP, DOWN, LEFT = (0.0, 0.45), (0.0, -0.45), (0.45, 0.0)  # what a pull shows
AROUND = (UP, UP, LEFT, DOWN, DOWN, DOWN, DOWN, LEFT, UP, UP, UP, UP)
DATASET = ["raw_stills", "still_decisions", "written_captions", "director", "stills", "captions"]


@pytest.fixture(scope="module")
def pages(server: DagsterServer) -> Iterator[DagsterPages]:
    """The server's UI, with a director's dataset to look at."""
    materialized = server.materialized()
    if any(DIRECTOR not in materialized[asset] for asset in DATASET):
        server.run("make_mini_lora", DIRECTOR, assets=DATASET)
    with open_pages(server.url) as pages:
        yield pages


def test_lineage_shows_every_asset(server: DagsterServer, pages: DagsterPages) -> None:
    graph = pages.open_lineage()
    expected = {part for asset in server.materialized() for part in asset.split("/")}
    missing = expected
    for move in (lambda: None, *[pages.zoom_out] * ZOOMS, *(partial(pages.pull, *way) for way in AROUND)):
        move()
        shown = graph.locator("foreignObject").all_text_contents()
        missing = {name for name in missing if not any(is_shown(name, text) for text in shown)}
        if not missing:
            return
    assert missing == set(), "the UI draws what is inside its window, and more of the graph from further away"


def is_shown(name: str, text: str) -> bool:
    """From near, a node tells more than its name; from afar, the UI cuts the middle out of longer ones."""
    return re.fullmatch(f"{name}(Latest event.*)?|{name[:4]}.*{name[-4:]}", text.strip()) is not None


def test_stills_show_their_contact_sheet(pages: DagsterPages) -> None:
    pages.open_asset("stills", DIRECTOR)
    (sheet,) = pages.show_pictures("contact sheet").all()
    assert loaded_width(sheet) > 600


def test_captions_show_their_gallery(pages: DagsterPages) -> None:
    pages.open_asset("captions", DIRECTOR)
    pictures = pages.show_pictures("gallery")
    for picture in pictures.all():
        assert loaded_width(picture) > 30
    row = pages.page.get_by_role("dialog").get_by_role("row").filter(has_text="a person")
    assert len(row.first.inner_text().split()) > 6, "a still has its caption beside it"


def loaded_width(picture: Locator) -> int:
    """Pixels across of a picture that travels in the page; 0 where the browser could not decode it."""
    assert (picture.get_attribute("src") or "").startswith("data:image/jpeg;base64,")
    return int(picture.evaluate("picture => picture.naturalWidth"))
