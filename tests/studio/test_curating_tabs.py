"""The three tabs as a page calls them: what is wired to what, with the very values that a browser sends."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from director_diffusion.errors import EditError, OrderError
from director_diffusion.studio.app import TABS, build_app
from tests.studio.curated import Curated

NOBODY = SimpleNamespace(username=None)


def handlers(curated: Curated) -> dict[str, Callable[..., Any]]:
    names = {"Stills", "Captions", "Checkpoints"}
    app = build_app(curated.studio, [tab for tab in TABS if tab.title in names])
    return {str(one.api_name): one.fn for one in app.fns.values() if one.fn is not None}


@pytest.fixture(scope="module")
def on_show(curated_once: Path) -> dict[str, Callable[..., Any]]:
    """The handlers over a project of which nothing may be changed."""
    return handlers(Curated(curated_once))


def event(**data: object) -> gr.SelectData:
    return gr.SelectData(None, {"index": 0, "value": None, **data})


def test_a_still_is_shown_chosen_rejected_and_given_back(curated: Curated) -> None:
    on = handlers(curated)
    page, _, pictures, words = on["stills"]("nolan", "all", 1)
    assert len(pictures) == 12
    assert words == "page 1 of 1, 12 stills"
    assert pictures[3]["image"]["path"] is None
    assert pictures[3]["image"]["url"].startswith("/shelf/")
    selected, picture, told, reason, *edges = on["still"](page, event(index=3))
    assert edges[1] > 0
    assert reason == ""
    assert on["frame"](selected, 10, 10, 90, 90)["url"] != picture["url"]
    selected, _, told, *_ = on["reject"](selected, "a hand", NOBODY)
    assert "reject – a hand" in told
    selected, _, told, *_ = on["crop"](selected, "", 10, 10, 90, 90, SimpleNamespace(username="ann"))
    assert "crop to 10 %, 10 %, 90 %, 90 % (ann)" in told
    selected, _, told, *_ = on["keep"](selected, "", NOBODY)
    assert "keep, crop to 10 %" in told
    _, _, told, *_ = on["undo_decision"](selected)
    assert "none: the rules decide" in told
    assert str(curated.folder) not in repr((pictures, told, picture))


def test_a_caption_with_warnings_is_saved_at_the_second_word(curated: Curated) -> None:
    on = handlers(curated)
    table, words = on["captions"]("nolan", "by a person")
    row = table["data"][0]
    selected, _, _, text = on["caption"]("nolan", event(row_value=row))
    assert text == row[2]
    selected, told = on["check_caption"](selected, "a lighthouse beside three boats in the harbour")
    assert "find nothing wrong" in told
    selected, told, text = on["save_caption"](selected, "a moody harbour with <b>boats</b> and a lighthouse")
    assert "Save once more" in told
    assert on["captions"]("nolan", "by a person")[0]["data"][0] == row, "nothing was written yet"
    selected, told, text = on["save_caption"](selected, text)
    assert text == "a moody harbour with <b>boats</b> and a lighthouse"
    assert on["captions"]("nolan", "by a person")[0]["data"][0][2] == text
    token, table, words = on["preview_replacing"]("nolan", "boats", "ships", True, False)
    assert table["data"][0][2] == "a moody harbour with <b>ships</b> and a lighthouse"
    assert on["replace"](token, "nolan", "boats", "ships", True, False)[2] == words.replace(
        "would change", "were written"
    )
    selected, _, _, text = on["caption"]("nolan", event(row_value=row))
    assert "ships" in text
    on["undo_caption"](selected)
    assert on["captions"]("nolan", "all")[0]["data"][0][2] != text


def test_a_step_is_picked_and_cleared(curated: Curated) -> None:
    curated.train("nolan", "first")
    on = handlers(curated)
    shown, said, _, curve, _, step = on["checkpoints"]("mini_lora", "nolan")
    assert [choice[1] for choice in step["choices"]] == [3, 6]
    assert curve["url"].startswith("/shelf/")
    shown, said, *_ = on["pick"](shown, 3, 0.8, "", "6 copies <b>", SimpleNamespace(username="ann"))
    assert "picked by ann: 6 copies &lt;b&gt;" in said
    _, said, *_ = on["clear_pick"](shown)
    assert "Nobody has picked" in said


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("stills", ({"path": "/etc/passwd"}, "all", 1)),
        ("stills", ("nolan", ["all"], 1)),
        ("stills", ("nolan", "all", "1; drop")),
        ("still", (None, event(index=0))),
        ("reject", (None, "x", NOBODY)),
        ("crop", (None, "x", 0, 0, 1, 1, NOBODY)),
        ("undo_decision", (None,)),
        ("captions", ("../nolan", "all")),
        ("caption", ("nolan", event(row_value={"a": 1}))),
        ("caption", ("nolan", event(row_value=["../../x"]))),
        ("check_caption", (None, "x")),
        ("save_caption", (None, "x")),
        ("undo_caption", (None,)),
        ("preview_replacing", ("nolan", "x" * 100_000, "", True, True)),
        ("replace", (None, "nolan", "a", "b", True, True)),
        ("replace", ("forged", "nolan", "a", "b", True, True)),
        ("checkpoints", ("mini_lora\0", "nolan")),
        ("pick", (None, 3, 1, "ann", "", NOBODY)),
        ("clear_pick", (None,)),
    ],
)
def test_hostile_values_are_refused_in_words_of_ours(
    on_show: dict[str, Callable[..., Any]], name: str, sent: tuple[object, ...]
) -> None:
    with pytest.raises((OrderError, EditError)) as caught:
        on_show[name](*sent)
    assert len(str(caught.value)) < 300


def test_a_place_beyond_the_page_is_refused(on_show: dict[str, Callable[..., Any]]) -> None:
    page, *_ = on_show["stills"]("nolan", "all", 1)
    for index in (12, -1, "0", None, [0], 0.5, True):
        with pytest.raises(OrderError):
            on_show["still"](page, event(index=index))
