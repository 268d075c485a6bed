"""Workers: several directors at a time, each in a process.

Belongs here: handing work to processes and taking what comes back, until all is done or one is interrupted.  What the
work is, is the caller's (`begin`); it is the same in this process (`in_turn`) and in others (`in_workers`).
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from director_diffusion.errors import DirectorError
from pipelines.cli.signals import take_sigterm_as_ctrl_c

if TYPE_CHECKING:
    from pipelines.cli.screen import Screen

Item = TypeVar("Item")
Result = TypeVar("Result")
Begin = Callable[["Screen"], AbstractContextManager[Callable[[Item], Result]]]
"""What opens all that the work needs, once a process, and gives the work."""

PATIENCE_S = 60.0  # for workers that were told to end: they save a checkpoint first
# Not forked from here, where a screen's thread runs; the server that forks has imported nothing heavy.
CONTEXT = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Died(Generic[Item]):
    """The worker ended in the middle of this item; a negative code is the signal that killed it."""

    item: Item
    code: int | None

    @property
    def words(self) -> str:
        """How it ended, and what to do."""
        how = f"was killed by signal {-self.code}" if self.code and self.code < 0 else f"ended with code {self.code}"
        return (
            f"its process {how}, perhaps for want of memory; what it had finished is kept. "
            "Run it again to go on, with --at-once 1 where memory is short."
        )


RunAll = Callable[[Sequence[Item]], list[Result | Died[Item]]]


@contextmanager
def in_turn(begin: Begin[Item, Result], screen: "Screen") -> Iterator[RunAll[Item, Result]]:
    """One item after the other, in this process."""
    with begin(screen) as work:
        yield lambda items: [work(item) for item in items]


@contextmanager
def in_workers(begin: Begin[Item, Result], count: int, screen: "Screen") -> Iterator[RunAll[Item, Result]]:
    """`count` items at a time.  Results come in the order of their items.

    A worker that is killed takes only its item along.  What an item's work raises is raised here (of unforeseen errors,
    a RuntimeError with their traceback), once the other workers were told to end, and did; a second interrupt kills
    them.  `begin`, items and results travel between processes.
    """
    workers = [_Worker(begin, screen) for _ in range(count)]
    try:
        yield partial(_run_all, workers)
    except KeyboardInterrupt as interrupt:
        told = [str(interrupt), *_stop(workers)]
        raise KeyboardInterrupt("; ".join(dict.fromkeys(filter(None, told)))) from None
    finally:
        _stop(workers)


def _run_all(workers: "Sequence[_Worker[Item, Result]]", items: Sequence[Item]) -> "list[Result | Died[Item]]":
    waiting, at_work = list(enumerate(items))[::-1], dict[Connection, tuple[int, "_Worker[Item, Result]"]]()
    found: dict[int, Result | Died[Item]] = {}
    idle = list(workers)
    while waiting or at_work:
        while waiting and idle:
            place, item = waiting.pop()
            worker = idle.pop()
            at_work[worker.give(item)] = place, worker
        for connection in wait(list(at_work)):
            assert isinstance(connection, Connection)
            place, worker = at_work[connection]
            answer = worker.hear()
            if isinstance(answer, _Raised):
                raise answer.error
            if answer is not None:
                found[place] = answer.value
                idle.append(worker)
                del at_work[connection]
    return [found[place] for place in range(len(items))]


def _stop(workers: "Sequence[_Worker[Any, Any]]") -> list[str]:
    """Have all end: the idle by themselves, those at work as by Ctrl-C; whoever takes too long is killed.

    Returns what they say of their interrupts.
    """
    alive = [worker for worker in workers if worker.process is not None]
    said, deadline = [], time.monotonic() + PATIENCE_S
    try:
        for worker in alive:
            worker.tell_to_end()
        listening = {worker.connection: worker for worker in alive if worker.at_work}
        while listening and (left_s := deadline - time.monotonic()) > 0:
            for connection in wait(list(listening), left_s):
                assert isinstance(connection, Connection)
                answer = listening[connection].hear()
                if isinstance(answer, _Answer):
                    del listening[connection]
                elif answer is not None and isinstance(answer.error, KeyboardInterrupt):
                    said.append(str(answer.error))  # of several errors, the first has been raised
    except KeyboardInterrupt:
        deadline = time.monotonic()  # whoever asks again has no more patience
        raise
    finally:
        for worker in alive:
            worker.end(max(0.0, deadline - time.monotonic()))
    return said


@dataclass(frozen=True)
class _Answer:
    value: Any


@dataclass(frozen=True)
class _Raised:
    """What the work raised; the process ends after it."""

    error: BaseException


class _Worker(Generic[Item, Result]):
    """A process, and what this one knows of it.  It is started by its first item, and again where it is gone."""

    connection: Connection

    def __init__(self, begin: Begin[Item, Result], screen: "Screen"):
        self._begin, self._screen = begin, screen
        self.process: Any = None
        self.at_work = False
        self._item: Item | None = None
        self._bars: dict[int, int] = {}

    def give(self, item: Item) -> Connection:
        """Returns where the answer is to come."""
        if self.process is not None and not self.process.is_alive():
            self.end(0.0)  # somebody killed it while it was idle
        if self.process is None:
            self.connection, theirs = CONTEXT.Pipe()
            process = CONTEXT.Process(target=_serve, args=(theirs, self._begin, dict(os.environ)))
            process.start()
            theirs.close()
            self.process = process
        self._item, self.at_work = item, True
        with suppress(ConnectionError):  # heard of by `hear`
            self.connection.send(item)
        return self.connection

    def hear(self) -> _Answer | _Raised | None:
        """The answer, once there is one; before that, show what the worker shows."""
        try:
            kind, *values = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            died = Died(self._item, self.process.exitcode)
            self.end(0.0)
            return _Answer(died)
        if kind == "answer":
            self.at_work = False
            return _Answer(values[0])
        if kind == "raised":
            return _Raised(values[0])
        if kind == "failed":
            return _Raised(RuntimeError(f"a process of this command failed:\n{values[0]}"))
        self._show(kind, *values)
        return None

    def tell_to_end(self) -> None:
        if self.at_work:
            self.process.terminate()
        else:
            self.connection.close()

    def end(self, patience_s: float) -> None:
        """See to it that it has ended."""
        if self.process is not None:
            self.process.join(patience_s)
            self.process.kill()
            self.process.join()
            self.connection.close()
        for bar in self._bars.values():
            self._screen.close_bar(bar)
        self.process, self.at_work, self._bars = None, False, {}

    def _show(self, kind: str, *values: Any) -> None:
        if kind == "open_bar":
            bar, title, total = values
            self._bars[bar] = self._screen.open_bar(title, total)
        elif kind == "advance":
            bar, steps, note = values
            self._screen.advance(self._bars[bar], steps, note)
        elif kind == "close_bar":
            self._screen.close_bar(self._bars.pop(values[0]))
        else:
            self._screen.say(*values)


# --- in the worker -----------------------------------------------------------------------------------------------


class _RemoteScreen:
    """The screen of the process that started this one."""

    def __init__(self, connection: Connection):
        self._connection, self._bars = connection, 0
        self._lock = threading.Lock()  # stages have threads that tell how far they are

    def open_bar(self, title: str, total: int) -> int:
        with self._lock:
            self._bars += 1
            bar = self._bars
        self.send("open_bar", bar, title, total)
        return bar

    def advance(self, bar: int, steps: int, note: str) -> None:
        self.send("advance", bar, steps, note)

    def close_bar(self, bar: int) -> None:
        self.send("close_bar", bar)

    def say(self, text: str) -> None:
        self.send("say", text)

    def send(self, *message: Any) -> None:
        # Where nobody reads any more, `_end_with_parent` ends this process in good order.
        with self._lock, suppress(ConnectionError):
            self._connection.send(message)


def _serve(connection: Connection, begin: Begin[Any, Any], environment: Mapping[str, str]) -> None:
    """Answer items until there are no more."""
    os.setsid()  # Ctrl-C reaches the parent alone, which passes it on, once
    take_sigterm_as_ctrl_c()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    screen = _RemoteScreen(connection)
    try:
        with begin(screen) as work:
            for item in _items(connection):
                screen.send("answer", work(item))
    except (DirectorError, KeyboardInterrupt) as raised:
        screen.send("raised", raised)
    except Exception:  # noqa: BLE001  # raised again in the parent
        screen.send("failed", traceback.format_exc())


def _items(connection: Connection) -> Iterator[Any]:
    with suppress(EOFError, ConnectionError):  # there are no more: the parent closed its end
        while True:
            yield connection.recv()


def _end_with_parent() -> None:
    """Pass the death of the parent on as a request to end."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
