"""Sign-offs: whom an adapter version may go out by, and what becomes of that."""

import json

import pytest

from director_diffusion.errors import PublishError, StoreError
from director_diffusion.evaluation.types import Verdict
from director_diffusion.publishing.decision import reason_to_withhold
from director_diffusion.publishing.sign_offs import (
    SignOff,
    add_sign_off,
    decode_sign_offs,
    encode_sign_offs,
    read_sign_offs,
    sign_off_for,
    standing,
)
from director_diffusion.storage import Store

ONE, OTHER = "1" * 64, "2" * 64
FAIL = Verdict("fail", ("pass: style", "fail: prompt fidelity", "undecided: memorisation"))
SIGNED = SignOff("signed off", ONE, "ann", "the prompts are at fault", "2026-11-22T01:00:00+00:00")
BACK = SignOff("taken back", ONE, "bob", "they are not", "2026-11-23T01:00:00+00:00")


def test_what_passes_needs_nobodys_word() -> None:
    assert reason_to_withhold(Verdict("pass", ("pass: all",)), None, ONE) == ""


@pytest.mark.parametrize("outcome", ["fail", "undecided"])
def test_without_a_pass_an_adapter_stays_for_the_reasons_that_are_not_passed(outcome: str) -> None:
    verdict = Verdict(outcome, FAIL.reasons)  # type: ignore[arg-type]
    reason = reason_to_withhold(verdict, None, ONE)
    assert reason == f"The verdict is {outcome} (fail: prompt fidelity; undecided: memorisation)."
    assert reason_to_withhold(verdict, SIGNED, ONE) == ""


def test_a_sign_off_is_for_one_adapter_version_alone() -> None:
    reason = reason_to_withhold(FAIL, SIGNED, OTHER)
    assert reason.endswith("The sign-off of ann is not for 222222222222.")
    assert reason_to_withhold(FAIL, BACK, ONE) != ""


def test_the_newest_entry_of_a_version_holds_and_the_record_keeps_all(store: Store) -> None:
    for entry in (SIGNED, SignOff("signed off", OTHER, "cid", "fine", "d"), BACK):
        add_sign_off(store, "lora", "nolan", entry)
    entries = read_sign_offs(store, "lora", "nolan")
    assert [entry.who for entry in entries] == ["ann", "cid", "bob"]
    assert sign_off_for(entries, ONE) is None
    assert [entry.who for entry in standing(entries)] == ["cid"]
    add_sign_off(store, "lora", "nolan", SIGNED)
    assert [entry.who for entry in standing(read_sign_offs(store, "lora", "nolan"))] == ["ann", "cid"]
    assert read_sign_offs(store, "lora", "fincher") == ()
    assert decode_sign_offs(encode_sign_offs(entries), "them") == entries


def test_what_was_never_signed_cannot_be_taken_back(store: Store) -> None:
    with pytest.raises(PublishError, match="nothing to take back"):
        add_sign_off(store, "lora", "nolan", BACK)
    assert not store.exists("sign_offs/lora/nolan.json")


@pytest.mark.parametrize("text", ["{", "7", json.dumps([{"who": "ann"}])])
def test_a_damaged_record_is_named(store: Store, text: str) -> None:
    store.write("sign_offs/lora/nolan.json", text.encode())
    with pytest.raises(StoreError, match=r"sign_offs/lora/nolan\.json: holds no sign-offs"):
        read_sign_offs(store, "lora", "nolan")
