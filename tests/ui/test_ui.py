"""What a person sees in the UI: the lineage of every stage, and the pictures of a director's stills and captions."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.dagster_server import DagsterServer
from tests.ui.dagster_pages import CHROMIUM, DagsterPages, open_pages

pytestmark = [
    pytest.mark.ui,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; on Debian: apt-get install chromium"),
]

DIRECTOR = "nolan"
DATASET = ["raw_stills", "written_captions", "director", "stills", "captions"]


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
    for asset in server.materialized():
        *group, name = asset.split("/")
        # Of a large graph seen from afar, the UI cuts the middle out of longer names.
        shown = re.compile(f"^{name[:4]}.*{name[-4:]}$")
        expect(graph.get_by_text(shown).first).to_be_visible()
        if group:
            expect(graph.get_by_text(group[0], exact=True).first).to_be_visible()


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
