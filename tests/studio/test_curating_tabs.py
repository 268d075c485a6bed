"""The three tabs over HTTP: what is wired to what, with the very values that a browser sends."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from director_diffusion.storage.artifact import Manifest, MetadataEntry, describe_files, set_latest, write_artifact
from director_diffusion.studio.app import TABS
from director_diffusion.studio.server import build_server
from director_diffusion.training.rows import RESULT_FILE
from pipelines.cli.app import GRADIO
from tests.studio.conftest import served
from tests.studio.curated import Curated
from tests.studio.visitor import Visitor

_SESSIONS = count()
SHEET = b"\xff\xd8 as the adapter's stage made it"
STATE = None  # what a page sends in place of what the server keeps
WHOLE = (0, 0, 100, 100)


@dataclass(frozen=True)
class Page:
    """An open page, which keeps its session."""

    visitor: Visitor
    session: str

    def send(self, name: str, *data: object, **event: object) -> tuple[list[Any] | None, str]:
        body = {"data": data, "fn_index": self.visitor.calls[name], "session_hash": self.session}
        said = self.visitor.post({**body, "event_data": {"index": 0, "value": None, **event} if event else None})
        return said.shown, said.problem

    def __call__(self, name: str, *data: object, **event: object) -> list[Any]:
        shown, problem = self.send(name, *data, **event)
        assert shown is not None, problem
        return shown

    def refused(self, name: str, *data: object, **event: object) -> str:
        shown, problem = self.send(name, *data, **event)
        assert shown is None
        return problem


@pytest.fixture(scope="module")
def shown(curated_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Curated:
    """nolan was trained, fincher never; each test leaves it as it was."""
    folder = tmp_path_factory.mktemp("shown")
    shutil.copytree(curated_once, folder, symlinks=True, dirs_exist_ok=True)
    curated = Curated(folder)
    curated.train("nolan", "first")
    text = f"![previews](data:image/jpeg;base64,{base64.b64encode(SHEET).decode()})"
    out = tmp_path_factory.mktemp("adapter")
    (out / RESULT_FILE).write_text(json.dumps({"chosen_step": 6, "training": "first"}))
    made = Manifest(
        asset=("mini_lora", "adapter"),
        partition="nolan",
        key="made",
        plain_key="made",
        version="1",
        files=describe_files(out),
        metadata=(MetadataEntry(label="previews", kind="markdown", value=text),),
        code_version="1",
        seconds=0,
    )
    set_latest(write_artifact(curated.store, out, made))
    return curated


@pytest.fixture(scope="module")
def visitor(shown: Curated, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    names = {"Stills", "Captions", "Checkpoints"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**GRADIO, "GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("gradio"))}.items():
            patch.setenv(name, value)
        server = served(build_server(shown.studio, tabs=[tab for tab in TABS if tab.title in names]))
        with httpx.Client(base_url=next(server), timeout=60) as client:
            yield Visitor(client)
        next(server, None)


@pytest.fixture
def page(visitor: Visitor) -> Page:
    return Page(visitor, f"page-{next(_SESSIONS)}")


def test_a_still_is_shown_chosen_rejected_and_given_back(page: Page, shown: Curated) -> None:
    _, _, pictures, words = page("stills", "nolan", "all", 1)
    assert len(pictures) == 12
    assert words == "page 1 of 1, 12 stills"
    assert pictures[3]["image"]["path"] is None
    assert page.visitor.client.get(pictures[3]["image"]["url"]).headers["content-type"] == "image/png"
    _, picture, told, reason, *edges = page("still", STATE, index=3)
    assert edges[1] > 0
    assert reason == ""
    assert page("frame", STATE, 10, 10, 90, 90)[0]["url"] != picture["url"]
    _, _, told, reason, *_ = page("reject", STATE, "a hand", *WHOLE)
    assert "reject – a hand" in told
    assert reason == "a hand"
    assert "is rejected by a person" in page.refused("crop", STATE, "", 1, 1, 9, 9)
    page("undo_decision", STATE, "", *WHOLE)
    _, _, told, reason, *edges = page("crop", STATE, "the <edge>", 10, 10, 90, 90)
    assert "crop to 10 %, 10 %, 90 %, 90 % – the &lt;edge&gt;" in told
    assert edges == [10, 10, 90, 90]
    assert reason == "the <edge>"
    _, _, told, *_ = page("keep", STATE, reason, *WHOLE)
    assert "keep, crop to 10 %, 10 %, 90 %, 90 % – the" in told, "the crop and its reason stay"
    _, _, told, reason, *_ = page("undo_decision", STATE, reason, *WHOLE)
    assert "none: the rules decide" in told
    assert reason == ""
    assert str(shown.folder) not in repr((pictures, told, picture))


def test_a_caption_with_warnings_is_saved_at_the_second_word(page: Page) -> None:
    table, words = page("captions", "nolan", "by a person", 1)
    row = table["data"][0]
    assert words.startswith("page 1 of 1, ")
    _, picture, _, text = page("caption", "nolan", row_value=row, index=[0, 1])
    assert picture["url"].startswith("/shelf/")
    assert text == row[2]
    _, told = page("check_caption", STATE, "a lighthouse beside three boats in the harbour")
    assert "find nothing wrong" in told
    _, told, text = page("save_caption", STATE, "a moody harbour with <b>boats</b> and a lighthouse")
    assert "Save once more" in told
    assert page("captions", "nolan", "by a person", 1)[0]["data"][0] == row, "nothing was written yet"
    _, told, text = page("save_caption", STATE, text)
    assert text == "a moody harbour with <b>boats</b> and a lighthouse"
    assert page("captions", "nolan", "by a person", 1)[0]["data"][0][2] == text
    _, table, words = page("preview_replacing", "nolan", "boats", "ships", True, False)
    assert table["data"][0][2] == "a moody harbour with <b>ships</b> and a lighthouse"
    replaced = page("replace", STATE, "nolan", "boats", "ships", True, False)[2]
    assert replaced == words.replace("would change", "were written")
    _, _, _, text = page("caption", "nolan", row_value=row, index=[0, 1])
    assert "ships" in text
    page("undo_caption", STATE)
    assert page("captions", "nolan", "all", 1)[0]["data"][0][2] != text


def test_a_step_is_picked_and_cleared(page: Page) -> None:
    _, said, _, curve, _, step = page("checkpoints", "mini_lora", "nolan")
    assert [choice[1] for choice in step["choices"]] == [3, 6]
    assert curve["url"].startswith("/shelf/")
    assert "Christopher Nolan by mini_lora" in said
    _, said, *_ = page("pick", STATE, "mini_lora", "nolan", 3, 0.8, "ann", "6 copies <b>")
    assert "picked by ann: 6 copies &lt;b&gt;" in said
    _, said, *_ = page("clear_pick", STATE, "mini_lora", "nolan")
    assert "Nobody has picked" in said


def test_a_pick_never_lands_on_another_than_the_one_chosen(page: Page, shown: Curated) -> None:
    page("checkpoints", "mini_lora", "nolan")
    assert "has not been trained yet" in page.refused("checkpoints", "mini_lora", "fincher")
    for name, sent in (("pick", (3, 0.8, "ann", "")), ("clear_pick", ())):
        assert "is not of the recipe and director chosen" in page.refused(name, STATE, "mini_lora", "fincher", *sent)
    assert not list((shown.folder / "store").rglob("*pick*nolan*"))


def test_preview_sheets_are_pictures_of_the_shelf(page: Page) -> None:
    sheets = page("checkpoints", "mini_lora", "nolan")[4]
    (address,) = re.findall(r'src="(/shelf/\w+\.jpg)"', sheets)
    answer = page.visitor.client.get(address)
    assert (answer.content, answer.headers["content-type"]) == (SHEET, "image/jpeg")


@pytest.mark.parametrize(
    ("name", "sent", "event"),
    [
        ("stills", ({"x": "/etc/passwd"}, "all", 1), {}),
        ("stills", ("nolan", ["all"], 1), {}),
        ("stills", ("nolan", "all", "1; drop"), {}),
        ("still", (STATE,), {"index": 0}),
        ("reject", (STATE, "x", *WHOLE), {}),
        ("crop", (STATE, "x", *WHOLE), {}),
        ("undo_decision", (STATE, "", *WHOLE), {}),
        ("captions", ("../nolan", "all", 1), {}),
        ("captions", ("nolan", "all", "1"), {}),
        ("caption", ("nolan",), {"index": 0, "row_value": {"a": 1}}),
        ("caption", ("nolan",), {"index": 0, "row_value": ["../../x"]}),
        ("check_caption", (STATE, "x"), {}),
        ("save_caption", (STATE, "x"), {}),
        ("undo_caption", (STATE,), {}),
        ("preview_replacing", ("nolan", "x" * 100_000, "", True, True), {}),
        ("replace", (STATE, "nolan", "a", "b", True, True), {}),
        ("replace", ("forged", "nolan", "a", "b", True, True), {}),
        ("checkpoints", ("mini_lora\0", "nolan"), {}),
        ("pick", (STATE, "mini_lora", "nolan", 3, 1, "ann", ""), {}),
        ("clear_pick", (STATE, "mini_lora", "nolan"), {}),
    ],
)
def test_hostile_values_are_refused_in_words_of_ours(
    page: Page, name: str, sent: tuple[object, ...], event: dict[str, object]
) -> None:
    problem = page.refused(name, *sent, **event)
    assert "Something failed" not in problem
    assert 0 < len(problem) < 300


def test_a_place_beyond_the_page_is_refused(page: Page) -> None:
    page("stills", "nolan", "all", 1)
    for index in (12, -1, "0", [0], 0.5, True):
        assert page.refused("still", STATE, index=index).startswith("still: ")
    assert page.refused("still", STATE, index=None).startswith("This was not understood: ")
