"""The booth: who is asked about what, what leaves it, and what it refuses."""

import io
import json
import logging
import re
import threading
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from PIL import Image

from director_diffusion.errors import AlreadyVotedError, LedgerError, VoteError
from director_diffusion.kept import ENTRY_BYTES
from director_diffusion.storage import Store
from director_diffusion.voting import booth as booth_module
from director_diffusion.voting.booth import Ballot, Booth
from director_diffusion.voting.exhibition import Exhibition
from director_diffusion.voting.ledger import Ledger
from director_diffusion.voting.secrets import Marks, key_at
from tests.voting.show import DIRECTORS, KEY, PROMPTS, RECIPE, SECRET, arm_of, colour_of, set_up

BOTH = {"style": "A", "prompt": "tie"}
PAIRS = 2 * PROMPTS  # of a director


def handed(booth: Booth, voter: str, **wanted: object) -> Ballot:
    found = booth.next_ballot(voter, **wanted)
    assert found is not None
    return found


def arms(booth: Booth, ballot: Ballot) -> tuple[str, str]:
    """Who drew A and B, as only the colours tell."""
    a, b = (arm_of(colour_of(booth.picture(name))) for name in (ballot.a, ballot.b))
    return a, b


def test_a_voter_is_asked_about_every_pair_once(booth: Booth, ledger: Ledger) -> None:
    asked = []
    while (ballot := booth.next_ballot("ann")) is not None:
        assert ballot.left == len(DIRECTORS) * PAIRS - len(asked)
        asked.append((ballot.director, ballot.prompt, frozenset(arms(booth, ballot))))
        booth.cast("ann", ballot.token, BOTH)
    assert len(asked) == len(set(asked)) == len(ledger.votes()) == len(DIRECTORS) * PAIRS
    assert booth.next_ballot("bob") is not None, "others are asked too"


def test_what_was_voted_for_is_what_was_shown(booth: Booth, ledger: Ledger, store: Store) -> None:
    show = Exhibition(store, DIRECTORS, [RECIPE]).now()
    for _ in range(PAIRS):
        ballot = handed(booth, "ann", director="nolan")
        a, b = arms(booth, ballot)
        booth.cast("ann", ballot.token, {"style": "A" if a == "adapter" else "B", "prompt": "neither"})
        vote = ledger.votes()[-1]
        assert [show.pictures[sha256].side.arm for sha256 in (vote.a, vote.b)] == [a, b]
        assert vote.style == ("A" if a == "adapter" else "B")
        assert (vote.prompt, vote.director) == ("neither", "nolan")


def test_pairs_with_fewest_votes_come_first(booth: Booth, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booth_module, "TALLY_S", 0.0)
    for number in range(3 * PAIRS):
        voter = f"voter{number}"
        booth.cast(voter, handed(booth, voter, director="nolan").token, BOTH)
    assert set(Counter(vote.pair for vote in ledger.votes()).values()) == {3}


def test_a_picture_comes_back_only_when_none_is_left_unseen(booth: Booth) -> None:
    seen: list[tuple[int, int, int]] = []
    for number in range(PAIRS):
        ballot = handed(booth, "ann", director="nolan")
        colours = [colour_of(booth.picture(name)) for name in (ballot.a, ballot.b)]
        assert (set(colours) & set(seen) != set()) == (number >= PROMPTS)
        seen += colours
        booth.cast("ann", ballot.token, BOTH)


def test_sides_are_a_fair_coin_that_a_reload_does_not_turn(booth: Booth) -> None:
    turned = Counter()
    for number in range(200):
        ballot = handed(booth, f"voter{number}")
        again = handed(booth, f"voter{number}")
        assert arms(booth, again) == arms(booth, ballot)
        assert again.token == ballot.token
        turned[arms(booth, ballot)[0] == "adapter"] += 1
    assert 70 < turned[True] < 130


def test_nothing_that_leaves_tells_arms_files_or_the_key(booth: Booth, store: Store) -> None:
    ballot = handed(booth, "ann", director="nolan")
    text = json.dumps(asdict(ballot))
    show = Exhibition(store, DIRECTORS, [RECIPE]).now()
    hidden = [KEY.hex(), "adapter", "base", "mini_lora", "cache/", *show.pairs, *show.pictures]
    hidden += [shown.reference for shown in show.pictures.values()] + [still.still for still in show.judging("nolan")]
    assert not [word for word in hidden if word in text]
    for name in (ballot.a, ballot.b, *ballot.stills):
        data = booth.picture(name)
        assert SECRET.encode() not in data
        assert re.findall(rb"IHDR|tEXt|iTXt|zTXt|eXIf|tIME|IDAT|IEND", data) == [b"IHDR", b"IDAT", b"IEND"]
        with Image.open(io.BytesIO(data)) as image:
            assert image.info == {}
    assert handed(booth, "ann", director="nolan").a != ballot.a, "names are for once"
    assert len(ballot.stills) == 4
    assert all(colour_of(booth.picture(name))[:2] == (200, 200) for name in ballot.stills)
    assert KEY.hex() not in repr(booth) + repr(Marks(KEY))


def test_tokens_of_others_and_forged_ones_are_refused(booth: Booth, ledger: Ledger, store: Store) -> None:
    ballot = handed(booth, "ann")
    elsewhere = Booth(ledger, Exhibition(store, DIRECTORS, [RECIPE]), bytes(32))
    pair = next(iter(Exhibition(store, DIRECTORS, [RECIPE]).now().pairs))
    forged = [
        handed(elsewhere, "ann").token, ballot.token[:-1] + ("A" if ballot.token[-1] != "A" else "B"),
        ballot.a, pair, ballot.token.swapcase(),
    ]  # fmt: skip
    for token in forged:
        with pytest.raises(VoteError, match="was not handed to this voter"):
            booth.cast("ann", token, BOTH)
    with pytest.raises(VoteError, match="was not handed to this voter"):
        booth.cast("bob", ballot.token, BOTH)
    with pytest.raises(VoteError, match="picture: has no such name"):
        booth.picture(ballot.token)
    assert ledger.votes() == []
    booth.cast("ann", ballot.token, BOTH)
    with pytest.raises(AlreadyVotedError, match="the first stands"):
        booth.cast("ann", ballot.token, {**BOTH, "style": "B"})
    assert [vote.style for vote in ledger.votes()] == ["A"]


def test_one_ballot_cast_by_many_threads_at_once_is_one_vote(booth: Booth, ledger: Ledger) -> None:
    token, outcomes, start = handed(booth, "ann").token, [], threading.Barrier(12)

    def cast() -> None:
        start.wait()
        try:
            booth.cast("ann", token, BOTH)
            outcomes.append("cast")
        except AlreadyVotedError:
            outcomes.append("refused")

    threads = [threading.Thread(target=cast) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(outcomes) == {"cast": 1, "refused": 11}
    assert len(ledger.votes()) == 1


HOSTILE = [
    "x" * 100_000, "", "\0", "ann\0", "ann\n", "../../etc/passwd", "/etc/passwd", "ann'; DROP TABLE votes; --",
    "\u202eann", "\ud800", " ann", None, 7, 1.5, True, b"ann", ["ann"], {"ann": "ann"}, object(),
]  # fmt: skip


def test_hostile_input_is_refused_and_not_repeated(
    booth: Booth, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for value in HOSTILE:
            refused(booth, value)
    assert ledger.votes() == []
    assert not [record for record in caplog.records if record.name.startswith("director")]


def refused(booth: Booth, value: object) -> None:
    """Wherever it is given."""
    ballot = handed(booth, "ann")
    attempts = [
        lambda: booth.next_ballot(value),
        lambda: booth.cast(value, ballot.token, BOTH),
        lambda: booth.cast("ann", value, BOTH),
        lambda: booth.cast("ann", ballot.token, value),
        lambda: booth.cast("ann", ballot.token, {**BOTH, "style": value}),
        lambda: booth.cast("ann", ballot.token, {"style": "A", "prompt": "A", "more": value}),
        lambda: booth.picture(value),
        lambda: booth.voter_of(value),
    ]
    if value is not None:  # which means any
        attempts += [lambda: booth.next_ballot("ann", director=value), lambda: booth.next_ballot("ann", recipe=value)]
    for attempt in attempts:
        with pytest.raises(VoteError) as caught:
            attempt()
        assert len(str(caught.value)) < 300
        if isinstance(value, str) and len(value) > 3:
            assert value not in str(caught.value)


@pytest.mark.parametrize("answers", [{}, {"style": "A"}, {"style": "a", "prompt": "A"}, {"style": "A", "Prompt": "A"}])
def test_half_an_answer_is_none(answers: dict[str, str], booth: Booth, ledger: Ledger) -> None:
    with pytest.raises(VoteError, match="style and prompt, each with one of A, B, tie, neither"):
        booth.cast("ann", handed(booth, "ann").token, answers)
    assert ledger.votes() == []


def test_voters_are_written_down_as_nobody_can_read_them(booth: Booth, ledger: Ledger, store: Store) -> None:
    for voter in ("ann@example.org", "bob"):
        booth.cast(voter, handed(booth, voter).token, BOTH)
    names = {vote.voter for vote in ledger.votes()}
    assert len(names) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", name) for name in names)
    other = Booth(ledger, Exhibition(store, DIRECTORS, [RECIPE]), bytes(32))
    other.cast("bob", handed(other, "bob").token, BOTH)
    assert len({vote.voter for vote in ledger.votes()}) == 3, "the key is in the pseudonym"


def test_a_pass_is_a_voter_and_cannot_be_made_up(booth: Booth, ledger: Ledger, store: Store) -> None:
    mine, yours = booth.admit(), booth.admit()
    assert booth.voter_of(mine) == booth.voter_of(mine) != booth.voter_of(yours)
    assert handed(booth, booth.voter_of(mine))
    other = Booth(ledger, Exhibition(store, DIRECTORS, [RECIPE]), bytes(32))
    for forged in (mine[:32] + yours[32:], "0" * 32 + mine[32:], other.admit(), booth.voter_of(mine)):
        with pytest.raises(VoteError, match="pass: "):
            booth.voter_of(forged)


def test_a_ballot_of_pictures_that_have_gone_is_refused(ledger: Ledger, store: Store) -> None:
    booth = Booth(ledger, Exhibition(store, DIRECTORS, [RECIPE], look_again_s=0.0), KEY)
    ballot, kept = handed(booth, "ann", director="nolan"), handed(booth, "bob", director="nolan")
    booth.cast("bob", kept.token, BOTH)
    set_up(store, shade=1)  # another adapter
    with pytest.raises(VoteError, match="no longer on show"):
        booth.cast("ann", ballot.token, BOTH)
    assert handed(booth, "bob", director="nolan").left == PAIRS, "another adapter's pictures are other pairs"
    set_up(store)  # and the first again
    assert handed(booth, "bob", director="nolan").left == PAIRS - 1
    booth.cast("ann", ballot.token, BOTH)
    assert len(ledger.votes()) == 2


def test_encoded_pictures_take_no_more_memory_than_they_may(
    ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(booth_module, "KEPT_BYTES", 4 * ENTRY_BYTES)
    booth, most = Booth(ledger, Exhibition(store, DIRECTORS, [RECIPE]), KEY), 0
    for _ in range(2 * PAIRS):
        ballot = handed(booth, "ann")
        for name in (ballot.a, ballot.b, *ballot.stills):
            assert booth.picture(name)
            held = [len(data) for data in booth._encoded._found.values()]
            most = max(most, len(held))
            assert sum(held) + ENTRY_BYTES * len(held) <= 4 * ENTRY_BYTES
        booth.cast("ann", ballot.token, BOTH)
    assert most > 1


def test_nothing_to_vote_on_is_no_error(ledger: Ledger, store: Store, booth: Booth) -> None:
    assert booth.next_ballot("ann", director="kurosawa") is None
    assert booth.next_ballot("ann", recipe="other") is None
    assert Booth(ledger, Exhibition(Store("memory://empty"), DIRECTORS, [RECIPE]), KEY).next_ballot("ann") is None


@pytest.mark.parametrize("harm", ["gone", "cut", "header"])
def test_pairs_of_a_picture_that_cannot_be_shown_are_left_out_and_all_others_asked(
    booth: Booth, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    monkeypatch.setattr(booth_module, "TALLY_S", 0.0)
    pictures = Exhibition(store, DIRECTORS, [RECIPE]).now().pictures.values()
    lost = next(one for one in pictures if one.side.arm == "adapter")
    path = Path(store.full(lost.reference))
    whole = path.read_bytes()
    path.write_bytes(whole[:60] if harm == "cut" else whole[:12] + b"X" + whole[13:])
    if harm == "gone":
        path.unlink()
    for voter in ("ann", "bob"):
        asked = 0
        while (ballot := booth.next_ballot(voter)) is not None:
            booth.cast(voter, ballot.token, BOTH)
            asked += 1
        assert asked == len(DIRECTORS) * PAIRS - 2
    assert [lost.reference in record.getMessage() for record in caplog.records] == [True], "it is logged once"

    path.write_bytes(whole)
    assert booth.next_ballot("ann") is None, "it is not looked for at every ballot"
    monkeypatch.setattr(booth_module, "LOST_S", 0.0)
    assert handed(booth, "ann").left == 2


def test_a_store_that_cannot_be_reached_is_no_lost_picture(
    booth: Booth, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> bytes:
        raise ConnectionError("no route")

    assert booth.on_show()
    with monkeypatch.context() as patch:
        patch.setattr(store.files, "read", unreachable)
        with pytest.raises(ConnectionError):
            booth.next_ballot("ann")
    assert handed(booth, "ann").left == len(DIRECTORS) * PAIRS


def test_the_key_is_made_once_and_for_its_owner(tmp_path) -> None:
    path, found, start = tmp_path / "votes" / "votes.key", [], threading.Barrier(8)

    def make() -> None:
        start.wait()
        found.append(key_at(path))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["votes.key"]
    path.write_text("not a key")
    with pytest.raises(LedgerError, match="cannot be read or made"):
        key_at(path)
    with pytest.raises(LedgerError, match="has 4 bytes"):
        Marks(b"1234")


def test_equal_pictures_are_no_pair() -> None:
    from director_diffusion.sampling.rows import Sample
    from director_diffusion.voting.pairs import Side, pairs_between, pairs_of

    one = Sample("adapter", 0, "a house", "a house", "house", False, 1, "i", "r", "0" * 64)
    other = replace(one, arm="base", sha256="1" * 64)
    (pair,) = pairs_of("nolan", "r", [one, other])
    assert pairs_of("nolan", "r", [one, replace(other, sha256=one.sha256)]) == ()
    assert pairs_of("nolan", "r", [one, replace(other, seed=2)]) == ()
    assert pairs_of("fincher", "r", [one, other])[0].identity != pair.identity, "another director is another question"
    across = pairs_between("nolan", (Side("turbo", "adapter"), [one]), (Side("r", "base"), [other]))
    assert [pair.identity for pair in across] == [pair.identity], "the same pictures are the same pair"
    assert {shown.side.recipe for shown in across[0].pictures} == {"turbo", "r"}
