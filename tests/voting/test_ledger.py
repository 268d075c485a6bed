"""The ledger: one vote for a voter and pair, whoever writes at once and whoever is killed."""

import errno
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from director_diffusion.errors import AlreadyVotedError, LedgerError
from director_diffusion.voting.ledger import Ledger, Vote

VOTE = Vote("v" * 64, "p" * 64, "nolan", 1, "a" * 64, "b" * 64, "A", "neither", "2026-11-22T00:00:00+00:00")
ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from director_diffusion.errors import AlreadyVotedError
from director_diffusion.voting.ledger import Ledger, Vote

url, voters, count = sys.argv[1], sys.argv[2].split(","), int(sys.argv[3])
sys.stdin.readline()
ledger = Ledger(url)
for number in range(count):
    for voter in voters:
        try:
            ledger.add(Vote(voter, str(number), "nolan", 1, "a", "b", "A", "tie", "2026"))
            print(voter, number, flush=True)
        except AlreadyVotedError:
            print("refused", flush=True)
"""


def writer(url: str, voters: str, count: int) -> "subprocess.Popen[str]":
    """A process that waits for a line, then writes votes and says which are written."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url, voters, str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def told(lines: str) -> list[tuple[str, str]]:
    """Votes that a writer said were written."""
    return [(voter, pair) for line in lines.splitlines() if line != "refused" for voter, pair in [line.split()]]


def test_a_look_makes_no_table(url: str, tmp_path: Path) -> None:
    (tmp_path / "votes").mkdir()
    for made in (False, False, True):
        looking = Ledger(url, to_look=True)
        if made:
            Ledger(url).add(VOTE)
        assert looking.is_made is made
        looking.close()
    assert Ledger(url, to_look=True).counts() == {VOTE.director: 1}


def test_a_vote_is_kept_and_its_replay_refused(url: str) -> None:
    ledger = Ledger(url)
    assert (ledger.votes(), ledger.tally(), ledger.counts()) == ([], {}, {})
    other = replace(VOTE, voter="w" * 64, style="B", prompt="tie")
    elsewhere = replace(VOTE, pair="q" * 64, director="fincher")
    for vote in (VOTE, other, elsewhere):
        ledger.add(vote)
    with pytest.raises(AlreadyVotedError, match="a voter has one vote on a pair, and the first stands"):
        ledger.add(replace(VOTE, style="B"))
    ledger.close()
    again = Ledger(url)
    assert again.votes() == [VOTE, other, elsewhere]
    assert again.votes("nolan") == [VOTE, other]
    assert again.votes_by(VOTE.voter) == [VOTE, elsewhere]
    assert again.tally() == {VOTE.pair: 2, elsewhere.pair: 1}
    assert again.tally("fincher") == {elsewhere.pair: 1}
    assert again.counts() == {"nolan": 2, "fincher": 1}
    again.close()


def test_the_database_itself_changes_and_deletes_nothing(url: str) -> None:
    ledger = Ledger(url)
    ledger.add(VOTE)
    ledger.close()
    parsed = make_url(url)
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg") if parsed.host is None and "host" in parsed.query else parsed
    )
    for statement in ("UPDATE votes SET style = 'B'", "DELETE FROM votes"):
        with pytest.raises(DBAPIError, match="votes are never changed or deleted"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()
    assert Ledger(url).votes() == [VOTE]


@pytest.mark.parametrize("vote", [replace(VOTE, style="C"), replace(VOTE, b=VOTE.a)])  # type: ignore[arg-type]
def test_what_is_no_vote_is_not_written(url: str, vote: Vote) -> None:
    ledger = Ledger(url)
    with pytest.raises(LedgerError, match="the ledger"):
        ledger.add(vote)
    assert ledger.votes() == []
    ledger.close()


def test_many_writers_at_once_lose_and_double_nothing(url: str) -> None:
    """Each also tries to vote as somebody whom all of them are: once on each pair one of them succeeds."""
    count, writers = 25, [writer(url, f"{name},all", 25) for name in "abcd"]
    for one in writers:
        assert one.stdin is not None
    for one in writers:
        one.stdin.write("\n")  # type: ignore[union-attr]
        one.stdin.flush()  # type: ignore[union-attr]
    out = [one.communicate(timeout=120)[0] for one in writers]
    assert [one.returncode for one in writers] == [0] * len(writers)
    found = [(vote.voter, vote.pair) for vote in Ledger(url).votes()]
    assert sorted(found) == sorted(vote for lines in out for vote in told(lines)), "what was told is what is there"
    assert sorted(found) == sorted((voter, str(pair)) for voter in ("a", "b", "c", "d", "all") for pair in range(count))
    assert sum(lines.count("refused") for lines in out) == 3 * count


def test_a_writer_killed_in_the_middle_loses_no_vote_that_it_told(url: str) -> None:
    killed, other = writer(url, "killed", 100_000), writer(url, "other", 80)
    for one in (killed, other):
        one.stdin.write("\n")  # type: ignore[union-attr]
        one.stdin.flush()  # type: ignore[union-attr]
    assert killed.stdout is not None
    lines = [killed.stdout.readline() for _ in range(40)]
    killed.send_signal(signal.SIGKILL)
    lines += killed.stdout.readlines()  # of the stream that has read ahead: `communicate` would miss what that holds
    killed.wait(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    out, _ = other.communicate(timeout=120)
    assert other.returncode == 0
    assert len(told(out)) == 80, "whoever else writes goes on"
    deadline = time.monotonic() + 10
    wanted = set(told("".join(line for line in lines if line.endswith("\n"))))
    while True:  # Postgres may still be committing what its client did not live to see
        found = [(vote.voter, vote.pair) for vote in Ledger(url).votes() if vote.voter == "killed"]
        if len(found) >= len(wanted) or time.monotonic() > deadline:
            break
    assert len(found) == len(set(found))
    assert wanted <= set(found)
    assert len(set(found) - wanted) <= 1, "at most the vote whose answer was on its way"
    ledger = Ledger(url)
    ledger.add(VOTE)
    assert ledger.votes_by(VOTE.voter) == [VOTE]
    ledger.close()


def test_sqlite_waits_for_the_disk_at_every_vote(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/votes.sqlite")
    with ledger._engine.connect() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert found == ["wal", 2]
    ledger.close()


def test_a_large_ledger_is_read_in_moments(tmp_path: Path) -> None:
    path = tmp_path / "votes.sqlite"
    ledger = Ledger(f"sqlite:///{path}")
    with ledger._engine.begin() as connection:
        rows = [
            (f"{number // 500:064}", f"{number % 500:064}", f"d{number % 5}", 1, "a" * 64, "b" * 64, "A", "B", VOTE.at)
            for number in range(50_000)
        ]
        names = ", ".join(Vote.__dataclass_fields__)
        connection.connection.executemany(f"INSERT INTO votes ({names}) VALUES ({','.join('?' * 9)})", rows)
    started = time.process_time()
    assert len(ledger.tally()) == 500
    assert len(ledger.votes_by(f"{7:064}")) == 500
    assert time.process_time() - started < 0.5, "what a booth asks for a ballot"
    assert len(ledger.votes("d3")) == 10_000
    assert time.process_time() - started < 2.0
    ledger.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense", "is not one"),
        ("mysql://somewhere/votes", "is of mysql"),
        ("sqlite://", "names no file"),
        ("sqlite:////proc/nowhere/votes.sqlite", "does not answer"),
        ("postgresql://ann:geheim@127.0.0.1:1/votes", "does not answer"),
    ],
)
def test_what_is_no_ledger_is_said_without_its_password(url: str, told: str) -> None:
    with pytest.raises(LedgerError, match=told) as caught:
        Ledger(url)
    assert "geheim" not in str(caught.value)


def test_a_full_disk_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(LedgerError, match=r"no space left on its disk\. Free some space"):
        Ledger(f"sqlite:///{tmp_path}/votes/votes.sqlite")


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "votes.sqlite"
    path.write_text("something else, of more than a hundred bytes " * 10)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="file is not a database"):
        Ledger(f"sqlite:///{path}")
    assert path.read_bytes() == before
