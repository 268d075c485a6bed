"""Joining and stripping the trigger, what is asked, and what the cache's name depends on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director_diffusion.captions.prompt import (
    build_instruction,
    caption_fingerprint,
    join_prompt,
    retry_instruction,
    strip_trigger,
)
from director_diffusion.errors import CaptionError
from director_diffusion.specs import Captioner, CaptionRules, Director, FolderSource

SPEC = Captioner(
    source=FolderSource(kind="folder", folder="models/mini/captioner"), max_pixels=50_176, max_new_tokens=48
)
NOLAN = Director(
    slug="nolan",
    name="Christopher Nolan",
    trigger="nolan style",
    stills_licence="drawn",
    captions=CaptionRules(forbidden_words=("Inception",)),
)


def test_joins_trigger_and_caption() -> None:
    assert join_prompt("nolan style", "a red car") == "nolan style, a red car"
    assert join_prompt("nolan style", "") == "nolan style"
    assert join_prompt(" nolan style ", "  ") == "nolan style"


def test_an_empty_trigger_is_an_error_that_says_where_to_mend_it() -> None:
    with pytest.raises(CaptionError, match=r"trigger.*director's file"):
        join_prompt(" ", "a red car")


@given(st.text(alphabet="abc ,.", max_size=20).map(str.strip).filter(lambda text: not text.startswith(",")))
def test_stripping_undoes_joining(caption: str) -> None:
    assert strip_trigger(join_prompt("zz style", caption), "zz style") == caption


def test_strips_only_a_whole_trigger_at_the_start() -> None:
    assert strip_trigger("Nolan style a red car", "nolan style") == "a red car"
    assert strip_trigger("nolan styled room", "nolan style") == "nolan styled room"
    assert strip_trigger("a room, nolan style", "nolan style") == "a room, nolan style"


def test_asks_for_what_the_director_describes_and_forbids_what_is_omitted() -> None:
    text = build_instruction(CaptionRules(describe=("subject", "setting"), omit=("mood", "framing")))
    assert "subject and setting" in text
    assert "Do not mention mood or framing." in text


def test_forbidden_words_are_never_told_to_the_model() -> None:
    assert "Inception" not in build_instruction(NOLAN.captions)
    assert "Inception" not in retry_instruction(NOLAN.captions, ["name", "style"])


def test_a_retry_says_what_was_wrong_whatever_the_order_of_the_rules() -> None:
    text = retry_instruction(NOLAN.captions, ["style", "refusal"])
    assert text.startswith(build_instruction(NOLAN.captions))
    assert len(text) > len(build_instruction(NOLAN.captions))
    assert text == retry_instruction(NOLAN.captions, ["refusal", "style", "style"])


def test_the_caches_name_follows_what_shapes_an_answer_and_nothing_else() -> None:
    name = caption_fingerprint(NOLAN, SPEC, "model")
    other_rules = NOLAN.captions.model_copy(update={"describe": ("subject",)})
    assert name != caption_fingerprint(NOLAN.model_copy(update={"captions": other_rules}), SPEC, "model")
    assert name != caption_fingerprint(NOLAN, SPEC, "other model")
    assert name != caption_fingerprint(NOLAN, SPEC.model_copy(update={"max_pixels": 100_352}), "model")
    assert name == caption_fingerprint(NOLAN.model_copy(update={"trigger": "other"}), SPEC, "model")
    assert name == caption_fingerprint(NOLAN, SPEC.model_copy(update={"min_words": 5}), "model")
