"""What a disturbed run says of its stages, by which the benchmark of faults tells what a fault in fact hit."""

import json
import signal
from functools import partial
from pathlib import Path

import pytest

from benchmarks.faulting import journal
from benchmarks.faulting.journal import BETWEEN, Spell, at_work, cut_off, is_within, spells, together, turned
from benchmarks.faulting.moments import PLACEHOLDERS, START, die_before_write, enter
from tests.tiny_project import TinyProject

LINES = [
    [0.0, "begins", "start", ""],
    [1.0, "begins", "stills", "a"],
    [3.0, "ends", "stills", "a"],
    [4.0, "begins", "captions", "a"],
]


def written(folder: Path, lines: list[list[object]]) -> list[Spell]:
    (folder / journal.FOLDER).mkdir()
    (folder / journal.FOLDER / "7.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return spells(folder, 7)


def test_a_journal_tells_what_was_at_work_at_a_moment(tmp_path: Path) -> None:
    found = written(tmp_path, LINES)
    assert found == [Spell("start", "", 0.0, 1.0), Spell("stills", "a", 1.0, 3.0), Spell("captions", "a", 4.0)]
    assert [at_work(found, moment) for moment in (0.5, 2.0, 3.5, 9.0)] == ["start", "stills", BETWEEN, "captions"]
    assert (cut_off(found), cut_off(found[:2])) == ("captions", BETWEEN)
    assert turned(found, 2.5, 3.5) == ["stills"]
    assert not turned(found, 1.5, 2.5)


def test_a_moment_is_within_a_run_that_had_begun_a_stage_and_goes_on_afterwards(tmp_path: Path) -> None:
    found = written(tmp_path, LINES)
    assert [is_within(found, moment) for moment in (0.5, 2.0, 3.5, 9.0)] == [False, True, True, False]


def test_two_runs_are_together_where_both_are_at_work_at_one_moment() -> None:
    one = [Spell("start", "", 0.0, 1.0), Spell("stills", "a", 1.0, 3.0), Spell("captions", "a", 4.0, 5.0)]
    other = [Spell("start", "", 0.0, 2.0), Spell("raw_stills", "b", 2.0, 2.5), Spell("stills", "b", 5.5, 6.0)]
    assert together(one, other) == [("stills", "raw_stills")]
    assert not together(one, other[2:])


@pytest.mark.xdist_group("children")
def test_a_run_says_which_stage_it_is_killed_in(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path, directors=("nolan",))
    whole = project.start("nolan", "--until", "raw_stills", first=partial(enter, tmp_path))
    assert whole.end().code == 0, whole.err
    said = spells(tmp_path, whole.process.pid)
    assert [spell.stage for spell in said][:2] == [START, PLACEHOLDERS]
    assert said[-1].stage == "raw_stills"
    assert all(spell.ended is not None for spell in said)

    killed = project.start("nolan", "--until", "stills", first=partial(die_before_write, tmp_path, "director", 0))
    killed.process.join(60)
    assert killed.process.exitcode == -signal.SIGKILL, killed.err
    assert cut_off(spells(tmp_path, killed.process.pid)) == "director"
