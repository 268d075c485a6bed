"""Plain text: wherever people's words come in, the same characters are taken and the same refused."""

import itertools
from collections.abc import Callable

import pytest

from director_diffusion.captions.editing import checked_text as checked_caption
from director_diffusion.captions.replacing import checked_search
from director_diffusion.errors import EditError, OrderError, SpecError
from director_diffusion.specs import Director
from director_diffusion.stills.decisions import encode_decision, read_decision
from director_diffusion.stills.raw import list_written_captions
from director_diffusion.storage import Store
from director_diffusion.studio.orders import checked_prompt
from director_diffusion.studio.studio import Limits

NUMBERS = itertools.count()


def director() -> Director:
    return Director(slug="ann", name="Ann", trigger="ann style", stills_licence="ours")


def typed_caption(text: str) -> str:
    return checked_caption(text, director())


def caption_file(text: str) -> str:
    store = Store(f"memory://plain-text-{next(NUMBERS)}")
    store.write("stills/ann/film/a.txt", text.encode("utf-8", "surrogatepass"))
    (found,) = list_written_captions(store, "ann")
    if found.problem:
        raise EditError("a.txt", found.problem, "")
    return found.text


def prompt(text: str) -> str:
    return checked_prompt(text, Limits())


def found(text: str) -> str:
    return checked_search(text, "", whole_words=True, match_case=True).find


def put_instead(text: str) -> str:
    return checked_search("x", text, whole_words=True, match_case=True).replace


def reason(text: str) -> str:
    quoted = "".join(f"\\U{ord(char):08x}" for char in text)
    told = read_decision(f'{{decision: keep, reason: "{quoted}"}}'.encode(), "a.decision.yaml")
    return read_decision(encode_decision(told), "a.decision.yaml").reason


DOORS = [typed_caption, caption_file, prompt, found, put_instead, reason]
REFUSED = {
    "NUL": "\0", "escape": "\x1b", "delete": "\x7f", "next line": "\x85", "form feed": "\x0c", "line": "\u2028",
    "paragraph": "\u2029", "override": "\u202e", "embedding": "\u202a", "pop": "\u202c", "isolate": "\u2066",
    "pop isolate": "\u2069", "surrogate": "\ud800",
}  # fmt: skip
TAKEN = {
    "joined": "👩\u200d🚀 on the moon", "Persian": "می\u200cخواهم", "soft hyphen": "light\u00adhouse",
    "byte order": "a\ufeffb", "mark": "a\u200eb", "private": "a\ue000b", "no break": "10\u00a0km",
    "combined": "e\u0301",
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_text_or_hides_what_is_written_is_refused(door: Callable[[str], str], name: str) -> None:
    with pytest.raises((OrderError, EditError, SpecError)) as caught:
        door(f"a boat{REFUSED[name]}at sea")
    assert len(str(caught.value)) < 300
    assert not set(str(caught.value)) & set(REFUSED.values())


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", TAKEN)
def test_characters_without_a_shape_are_text(door: Callable[[str], str], name: str) -> None:
    given = TAKEN[name]
    assert door(given) in (given, given.replace("\u00a0", " "))


def test_a_mark_of_byte_order_at_a_files_start_is_none_of_its_text() -> None:
    assert caption_file("\ufeffann style, a boat") == "ann style, a boat"
    assert read_decision("\ufeffdecision: keep\nreason: a boat".encode(), "a").reason == "a boat"


@pytest.mark.parametrize("door", [typed_caption, prompt])
def test_lines_are_made_one(door: Callable[[str], str]) -> None:
    assert door(" a boat\r\n\tat sea\n") == "a boat at sea"


@pytest.mark.parametrize("door", [found, put_instead, reason])
def test_where_there_is_one_line_there_are_no_more(door: Callable[[str], str]) -> None:
    with pytest.raises((EditError, SpecError)):
        door("a boat\nat sea")
