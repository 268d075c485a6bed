"""The ledger of votes: rows are added, and never changed or deleted.

Belongs here: the one table, in SQLite or Postgres, and what is asked of it.  What votes mean is `standings`' matter,
and who may cast one the booth's.

A vote is in the ledger once `add` returns, whatever happens to this process or machine afterwards: SQLite writes ahead
and waits for the disk at every commit, Postgres does so by itself.  Any number of processes may add and read at once.
SQLite wants a local disk: it cannot keep several machines apart on a network share.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import (
    DDL,
    URL,
    BigInteger,
    CheckConstraint,
    Column,
    Engine,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from director_diffusion.errors import AlreadyVotedError, LedgerError
from director_diffusion.storage.disk import refused_by_disk
from director_diffusion.voting.questions import ANSWERS, Answer

PATIENCE_S = 30.0  # of a writer while others write
CONNECTIONS = 8
_ADVISORY = 7_215_031_442_210_664_191  # names the making of the table to other processes on Postgres


@dataclass(frozen=True)
class Vote:
    """What one voter said of one pair, as shown."""

    voter: str  # a pseudonym of 64 hex digits, see `Booth`
    pair: str
    director: str
    questions: int  # version of what was asked
    a: str  # SHA-256 of the picture shown as A
    b: str
    style: Answer
    prompt: Answer
    at: str  # ISO 8601, UTC


_META = MetaData()
_ANSWERS = ", ".join(f"'{answer}'" for answer in ANSWERS)
_VOTES = Table(
    "votes",
    _META,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("voter", String(64), nullable=False),
    Column("pair", String(64), nullable=False),
    Column("director", String(64), nullable=False),
    Column("questions", Integer, nullable=False),
    Column("a", String(64), nullable=False),
    Column("b", String(64), nullable=False),
    Column("style", String(8), nullable=False),
    Column("prompt", String(8), nullable=False),
    Column("at", String(40), nullable=False),
    UniqueConstraint("voter", "pair", name="one_vote_per_voter_and_pair"),
    CheckConstraint(f"style IN ({_ANSWERS}) AND prompt IN ({_ANSWERS})", name="known_answers"),
    CheckConstraint("a <> b", name="two_pictures"),
)
_BY_DIRECTOR = Index("votes_by_director", _VOTES.c.director, _VOTES.c.pair)
_ROW = [_VOTES.c[name] for name in Vote.__dataclass_fields__]

_STAY = {  # the database itself refuses what this module never asks for
    "sqlite": [
        f"CREATE TRIGGER IF NOT EXISTS votes_stay_{verb.lower()} BEFORE {verb} ON votes "
        "BEGIN SELECT RAISE(ABORT, 'votes are never changed or deleted'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION votes_stay() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'votes are never changed or deleted'; END $$",
        "CREATE OR REPLACE TRIGGER votes_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON votes "
        "FOR EACH STATEMENT EXECUTE FUNCTION votes_stay()",
    ],
}


@dataclass
class _Waiting:
    """A vote in line, and what became of it."""

    vote: Vote
    over: bool = False
    added: bool = False
    failed: LedgerError | None = None


class Ledger:
    """The votes at a URL: `sqlite:///<path>`, or `postgresql://…` (read by psycopg; a password comes from PGPASSWORD or
    ~/.pgpass).

    Opening it makes the table where there is none; opened only `to_look` it does not, and `is_made` tells.  Raises
    LedgerError where it cannot be opened.  It may be shared by threads, but not with a forked child, which opens its
    own.
    """

    def __init__(self, url: str, *, to_look: bool = False):
        self._url = _parsed(url)
        self.where = self._url.render_as_string(hide_password=True)
        self._line, self._turn = deque[_Waiting](), threading.Lock()
        with self._explained():
            self._engine = _engine(self._url, settled=not to_look)
            self._insert: Any = sqlite.insert if self._file is not None else postgresql.insert
            if not to_look:
                self._prepare()

    @property
    def is_made(self) -> bool:
        """Whether there is the table."""
        with self._explained():
            return inspect(self._engine).has_table(_VOTES.name)

    @property
    def _file(self) -> Path | None:
        return Path(self._url.database) if self._url.get_backend_name() == "sqlite" and self._url.database else None

    def add(self, vote: Vote) -> None:
        """Write a vote down for good.  Raises AlreadyVotedError where this voter has voted on this pair.

        Threads that come while another waits for the disk stand in line, and the first of them writes for all: a disk
        that takes its time does not take it once for each.
        """
        mine = _Waiting(vote)
        self._line.append(mine)
        with self._turn:
            if not mine.over:
                some = [self._line.popleft() for _ in range(len(self._line))]  # only who has the turn takes away
                self._write(some)
        if mine.failed is not None:
            raise LedgerError(mine.failed.thing, mine.failed.problem, mine.failed.way_out) from mine.failed
        if not mine.added:
            raise AlreadyVotedError(
                "this vote", "was cast before: a voter has one vote on a pair, and the first stands", "Go on."
            )

    def _write(self, some: Sequence["_Waiting"]) -> None:
        """All in one transaction: of one that fails nothing is written, and all who waited for it are told."""
        failed: LedgerError | None = LedgerError(f"the ledger {self.where}", "was left in the middle", "Vote again.")
        try:
            with self._explained(), self._engine.begin() as connection:
                for one in some:
                    wanted = self._insert(_VOTES).values(**asdict(one.vote)).returning(_VOTES.c.id)
                    once = wanted.on_conflict_do_nothing(index_elements=["voter", "pair"])
                    one.added = connection.scalar(once) is not None
            failed = None
        except LedgerError as error:
            failed = error
        finally:
            for one in some:
                one.over, one.failed = True, failed

    def votes(self, director: str | None = None) -> list[Vote]:
        """All votes, or those about a director, in the order in which they were written."""
        wanted = select(*_ROW).order_by(_VOTES.c.id)
        with self._explained(), self._engine.connect() as connection:
            return [Vote(*row) for row in connection.execute(_about(wanted, director))]

    def votes_by(self, voter: str) -> list[Vote]:
        """One voter's, by pseudonym."""
        with self._explained(), self._engine.connect() as connection:
            return [Vote(*row) for row in connection.execute(select(*_ROW).where(_VOTES.c.voter == voter))]

    def tally(self, director: str | None = None) -> dict[str, int]:
        """How many votes each pair has, by its identity; pairs without any are left out."""
        in_index_order = (_VOTES.c.director, _VOTES.c.pair)  # a pair is of one director: read without sorting
        wanted = _about(select(_VOTES.c.pair, func.count()), director).group_by(*in_index_order)
        with self._explained(), self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(wanted)}

    def counts(self) -> dict[str, int]:
        """How many votes there are about each director; those without any are left out."""
        wanted = select(_VOTES.c.director, func.count()).group_by(_VOTES.c.director)
        with self._explained(), self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(wanted)}

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    def _prepare(self) -> None:
        if self._file is None:
            self._make()
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # Of several processes that turn a new file to write-ahead logging, SQLite lets all but one fail.
        with FileLock(f"{self._file}.lock", timeout=PATIENCE_S):
            self._make()

    def _make(self) -> None:
        dialect = self._engine.dialect.name
        with self._engine.begin() as connection:
            if dialect == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY})"))
                if connection.scalar(text("SELECT to_regclass('votes')")) is not None:
                    return  # a role that may only add and read may not make anything
            connection.execute(CreateTable(_VOTES, if_not_exists=True))
            connection.execute(CreateIndex(_BY_DIRECTOR, if_not_exists=True))
            for statement in _STAY[dialect]:
                connection.execute(DDL(statement))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say which ledger it was; never with a password, which no driver's words have."""
        try:
            yield
        except (SQLAlchemyError, OSError, ImportError) as error:  # the last: another driver than psycopg
            if isinstance(error, OSError) and (refused := refused_by_disk(error)) is not None:
                raise LedgerError(f"the ledger {self.where}", refused.problem, refused.way_out) from error
            words = str(getattr(error, "orig", None) or error).strip().splitlines()
            raise LedgerError(
                f"the ledger {self.where}",
                f"does not answer ({words[0] if words else type(error).__name__})",
                "Look whether it is there, has room and lets this user write; no vote that was told as cast is lost.",
            ) from error


def votes_in(ledger: Ledger | None, director: str) -> list[Vote]:
    """All votes about a director, of a ledger that is closed then; none where there is no ledger."""
    if ledger is None:
        return []
    try:
        return ledger.votes(director)
    finally:
        ledger.close()


def _about(wanted: Select[Any], director: str | None) -> Select[Any]:
    return wanted if director is None else wanted.where(_VOTES.c.director == director)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise LedgerError(
            "the ledger's URL", "is not one", "Give sqlite:///<path> or postgresql://<user>@<host>/<database>."
        ) from None
    if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    if parsed.get_backend_name() in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg") if "+" not in parsed.drivername else parsed
    raise LedgerError(
        "the ledger's URL",
        f"is of {parsed.drivername}, or names no file",
        "Give sqlite:///<path> or postgresql://<user>@<host>/<database>.",
    )


def _engine(url: URL, *, settled: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_size=CONNECTIONS, pool_pre_ping=True)
    engine = create_engine(url, pool_size=CONNECTIONS, connect_args={"timeout": PATIENCE_S})

    def settle(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    if settled:
        event.listen(engine, "connect", settle)
    return engine
