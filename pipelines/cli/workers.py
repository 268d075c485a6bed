"""Workers: several directors at a time, each in a process.

Belongs here: handing work to processes and taking what comes back, until all is done or one is interrupted.  What the
work is, is the caller's (`begin`); it is the same in this process (`in_turn`) and in others (`in_workers`).
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from director_diffusion.errors import DirectorError
from pipelines.cli.in_process import take_sigterm_as_ctrl_c
from pipelines.cli.screen import Screen

Item = TypeVar("Item")
Result = TypeVar("Result")
Begin = Callable[[Screen], AbstractContextManager[Callable[[Item], Result]]]
"""What opens all that the work needs, once a process, and gives the work."""

PATIENCE_S = 60.0  # for a worker that was told to end: it saves a checkpoint first


@dataclass(frozen=True)
class Died(Generic[Item]):
    """The worker ended in the middle of this item; a negative code is the signal that killed it."""

    item: Item
    code: int | None


RunAll = Callable[[Sequence[Item]], list[Result | Died[Item]]]


@contextmanager
def in_turn(begin: Begin[Item, Result], screen: Screen) -> Iterator[RunAll[Item, Result]]:
    """One item after the other, in this process."""
    with begin(screen) as work:
        yield lambda items: [work(item) for item in items]


@contextmanager
def in_workers(begin: Begin[Item, Result], count: int, screen: Screen) -> Iterator[RunAll[Item, Result]]:
    """`count` items at a time.  Results come in the order of their items.

    A worker that dies takes only its item along.  Raises what an item's work raised (DirectorError, KeyboardInterrupt),
    once the other workers have been told to end and did.  `begin`, items and results travel between processes.
    """
    workers = [_Worker(begin, screen) for _ in range(count)]
    try:
        yield partial(_run_all, workers)
    except KeyboardInterrupt as interrupt:
        told = [str(interrupt), *(worker.stop() for worker in workers)]
        raise KeyboardInterrupt("; ".join(dict.fromkeys(filter(None, told)))) from None
    finally:
        for worker in workers:
            worker.stop()


def _run_all(workers: "Sequence[_Worker[Item, Result]]", items: Sequence[Item]) -> "list[Result | Died[Item]]":
    waiting, at_work = list(enumerate(items))[::-1], dict[Connection, tuple[int, "_Worker[Item, Result]"]]()
    found: dict[int, Result | Died[Item]] = {}
    idle = list(workers)
    while waiting or at_work:
        while waiting and idle:
            place, item = waiting.pop()
            worker = idle.pop()
            worker.give(item)
            at_work[worker.connection] = place, worker
        for connection in wait(list(at_work)):
            assert isinstance(connection, Connection)
            place, worker = at_work[connection]
            answer = worker.hear()
            if answer is not None:
                found[place] = answer.value
                idle.append(worker)
                del at_work[connection]
    return [found[place] for place in range(len(items))]


@dataclass(frozen=True)
class _Answer:
    value: Any


class _Worker(Generic[Item, Result]):
    """A process, and what this one knows of it.  It is started by its first item, again after it died."""

    def __init__(self, begin: Begin[Item, Result], screen: Screen):
        self._begin, self._screen = begin, screen
        self._process: Any = None
        self._item: Item | None = None
        self._bars: dict[int, int] = {}

    def give(self, item: Item) -> None:
        if self._process is None:
            # Not forked from here, where a screen's thread runs; the server that forks it has imported nothing heavy.
            context = multiprocessing.get_context("forkserver")
            self.connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self._begin, dict(os.environ)))
            self._process.start()
            theirs.close()
            self._bars = {}
        self._item = item
        with suppress(BrokenPipeError):  # it died idle: heard of by `hear`
            self.connection.send(item)

    def hear(self) -> _Answer | None:
        """The answer, once there is one; before that, it shows what the worker shows."""
        try:
            kind, value = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            died = Died(self._item, self._process.exitcode)
            self._process = None
            return _Answer(died)
        if kind == "raised":
            raise value
        if kind == "answer":
            return _Answer(value)
        self._show(kind, *value)
        return None

    def stop(self) -> str:
        """End it; returns what it says of an interrupt.  It is killed where it does not end by itself."""
        if self._process is None:
            return ""
        self._process.terminate()
        said = ""
        try:
            while self.connection.poll(PATIENCE_S):
                kind, value = self.connection.recv()
                if kind == "raised":
                    said = str(value)
                elif kind != "answer":
                    self._show(kind, *value)
        except (EOFError, ConnectionResetError):
            pass  # the end of its end of the pipe: it is over
        self._process.join(PATIENCE_S)
        self._process.kill()
        self._process = None
        return said

    def _show(self, kind: str, *values: Any) -> None:
        if kind == "begin":
            bar, title, total = values
            self._bars[bar] = self._screen.begin(title, total)
        elif kind == "advance":
            bar, steps, note = values
            self._screen.advance(self._bars[bar], steps, note)
        elif kind == "end":
            self._screen.end(self._bars[values[0]])
        else:
            self._screen.say(*values)


# --- in the worker -----------------------------------------------------------------------------------------------


class _RemoteScreen:
    """The screen of the process that started this one."""

    def __init__(self, connection: Connection):
        self._connection, self._bars = connection, 0
        self._lock = threading.Lock()  # stages have threads that tell how far they are

    def begin(self, title: str, total: int) -> int:
        with self._lock:
            self._bars += 1
            bar = self._bars
        self._send("begin", bar, title, total)
        return bar

    def advance(self, bar: int, steps: int, note: str) -> None:
        self._send("advance", bar, steps, note)

    def end(self, bar: int) -> None:
        self._send("end", bar)

    def say(self, text: str) -> None:
        self._send("say", text)

    def _send(self, kind: str, *values: Any) -> None:
        # A broken pipe: nobody reads any more, and `_end_with_parent` ends this process in good order.
        with self._lock, suppress(BrokenPipeError):
            self._connection.send((kind, values))


def _serve(connection: Connection, begin: Begin[Any, Any], environment: Mapping[str, str]) -> None:
    """Answer items until there are no more."""
    os.setsid()  # Ctrl-C reaches the parent alone, which passes it on, once
    take_sigterm_as_ctrl_c()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    try:
        with begin(_RemoteScreen(connection)) as work:
            while True:
                connection.send(("answer", work(connection.recv())))
    except EOFError:
        pass  # no more items
    except (DirectorError, KeyboardInterrupt) as raised:
        with suppress(BrokenPipeError):
            connection.send(("raised", raised))


def _end_with_parent() -> None:
    """Pass the death of the parent on as a request to end."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
