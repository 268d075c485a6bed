"""What benchmarks of faults count: by what they in fact hit, and no more."""

import pytest

from benchmarks.faulting.buckets import told_apart
from benchmarks.faulting.kills import counted
from benchmarks.faulting.pairs import held_by
from benchmarks.raying.nodes import TogetherError, on_each


def test_kills_are_counted_by_what_was_at_work_and_by_what_was_aimed_at() -> None:
    kills = [{"stage": "stills", "at_work": "stills"}, {"stage": "stills", "at_work": "captions"}]
    told = counted(kills)
    assert told["by_stage_at_work"] == {"stills": 1, "captions": 1}
    assert told["by_stage_aimed_at"] == {"stills": 2}
    assert told["hit_as_aimed"] == 1


def test_slow_answers_are_no_faults() -> None:
    assert told_apart({"slow": 3, "reset": 2, "lost": 1}) == ({"lost": 1, "reset": 2}, 3)
    assert told_apart({"reset": 2}) == ({"reset": 2}, 0)


def test_only_the_others_lock_is_a_meeting() -> None:
    waits = "stills/nolan is being written by run a (process 7 on here): waiting for it"
    refused = "stills/nolan: is being written by run a (process 7 on here). Wait for it to end."
    lines = [waits, "Reusing stills", refused]
    assert held_by({"a"}, lines) == [waits, refused]
    assert held_by({"b"}, lines) == []


def test_two_trainings_on_a_node_each_are_lost_and_kept() -> None:
    assert on_each([("nolan", "n2"), ("fincher", "n1")], "n1", "n2") == ("nolan", "fincher")


@pytest.mark.parametrize(
    ("at", "nodes", "words"),
    [
        ([("nolan", "n1"), ("fincher", "n1")], 1, "on the first node nolan and fincher; on the second node none"),
        ([("nolan", "n2"), ("fincher", "n2")], 1, "on the first node none; on the second node nolan and fincher"),
        ([("nolan", "n2")], 1, "on the first node none; on the second node nolan"),
        ([], 0, "on the first node none; on the second node none"),
    ],
)
def test_two_trainings_that_are_not_say_where_they_are(at: list[tuple[str, str]], nodes: int, words: str) -> None:
    with pytest.raises(TogetherError, match=words) as raised:
        on_each(at, "n1", "n2")
    assert raised.value.nodes == nodes
