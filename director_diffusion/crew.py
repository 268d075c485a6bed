"""Crew: processes of this machine that share one piece of work.

Belongs here: starting them, on devices that were lent where there are some, passing on what they tell, and ending them
together.  What they do is their caller's: `training.workers`, `sampling.lots`.

Each has a pipe of its own to the process that started it, so that one that is killed is seen at once by the pipe's end,
and what it told before is whole.
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from director_diffusion.errors import DirectorError
from director_diffusion.progress import Progress, Task

if TYPE_CHECKING:
    from PIL.Image import Image

Found = TypeVar("Found")
AtStart = Callable[[], None] | None
"""What each process calls first: how it is to log, which the one that started it was told.  It travels there."""

CONTEXT: SpawnContext | ForkServerContext = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
VISIBLE = "CUDA_VISIBLE_DEVICES"
_FROM_OUTSIDE = (signal.SIGINT, signal.SIGTERM)
WAIT_S = 0.2  # between looks at whether to stop


class Hand:
    """One process of a crew, as its work sees it."""

    def __init__(self, rank: int, count: int, pipe: Connection):
        self.rank, self.count, self._pipe = rank, count, pipe
        self.at_end = ExitStack()  # what it lets go once it has given its answer

    @property
    def progress(self) -> Progress:
        """Shown by the process that started this one."""
        return _Told(self._pipe)

    def asked_to_stop(self) -> bool:
        """Whether the crew is to end early: somebody asked for it, or another of them failed."""
        return self._pipe.poll()

    def device(self, of_starter: str) -> str:
        """What to work on, where the starting process has `of_starter`: of those that all see, the one of its rank."""
        return f"cuda:{self.rank}" if torch.device(of_starter).type == "cuda" else of_starter


@dataclass(frozen=True)
class Crew:
    """So many processes, and what is said of one that ended without a word."""

    work: str  # its name, as in "process 1 of 2 of a training"
    count: int
    devices: tuple[str, ...]  # UUIDs, one for each; () where none are lent
    error: type[DirectorError]
    way_out: str
    parting_s: float  # after one failed, for the others to end: they may know the cause, or have something to finish
    at_start: AtStart = None

    def run(
        self, do: Callable[[Hand], Found], progress: Progress, stop: Callable[[], bool] = lambda: False
    ) -> list[Found]:
        """What `do` gives in each process, by rank; it travels there, and what it gives back here.

        Raises what `do` raised in one of them (of unforeseen errors, a RuntimeError with their traceback), `error`
        where one was killed.  None lives on afterwards, nor where this process is killed.
        """
        workers: list[_Worker] = []
        try:
            for rank in range(self.count):
                workers.append(_start(self, do, rank))
            _follow(self, workers, progress, stop)
        finally:
            for worker in workers:
                worker.process.kill()  # where all is well, they have nothing left to do
                worker.process.join()
                worker.pipe.close()
        failed = [worker for worker in workers if isinstance(worker.ended, Exception)]
        if failed:
            error = min(failed, key=_aftermath).ended
            assert isinstance(error, Exception)
            raise error
        return [worker.ended.value for worker in workers if isinstance(worker.ended, _Done)]


@contextmanager
def seeing(devices: Sequence[str]) -> Iterator[None]:
    """Processes that are started meanwhile see these devices alone.  Libraries may ask for them while being imported,
    so a process cannot be told later; this one's CUDA has been told long ago."""
    before = os.environ.get(VISIBLE)
    if devices:
        os.environ[VISIBLE] = ",".join(devices)
    try:
        yield
    finally:
        if before is not None:
            os.environ[VISIBLE] = before
        elif devices:
            del os.environ[VISIBLE]


@dataclass(frozen=True)
class _Done:
    value: Any


@dataclass
class _Worker:
    """A process, and how it ended: what it gave, or an error of its own or about it."""

    rank: int
    process: BaseProcess
    pipe: Connection
    ended: _Done | Exception | None = None
    killed: bool = False
    tasks: list[Task] = field(default_factory=list)


def _start(crew: Crew, do: Callable[[Hand], Any], rank: int) -> _Worker:
    here, there = CONTEXT.Pipe()
    told = (do, crew.at_start, rank, crew.count, there, torch.get_num_threads())
    process = CONTEXT.Process(target=_serve, args=told, daemon=True)
    # A terminal's Ctrl-C reaches them too: held off until they ignore it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FROM_OUTSIDE)
    try:
        with seeing(crew.devices):
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()  # theirs alone, so that its end is theirs
    return _Worker(rank, process, here)


def _follow(crew: Crew, workers: Sequence[_Worker], progress: Progress, stop: Callable[[], bool]) -> None:
    """Pass on what they tell until all have ended, or none is waited for any more."""
    asked, deadline = False, float("inf")
    with ExitStack() as open_tasks:
        while (at_work := [worker for worker in workers if worker.ended is None]) and time.monotonic() < deadline:
            if not asked and (deadline < float("inf") or stop()):
                asked = True
                for worker in at_work:
                    with suppress(ConnectionError):  # it is gone, which is told below
                        worker.pipe.send("stop")
            listening = {worker.pipe: worker for worker in at_work}
            for pipe in wait(list(listening), WAIT_S):
                worker = listening[pipe]  # type: ignore[index]
                _hear(crew, worker, progress, open_tasks)
                if isinstance(worker.ended, Exception):
                    deadline = min(deadline, time.monotonic() + crew.parting_s)


def _hear(crew: Crew, worker: _Worker, progress: Progress, open_tasks: ExitStack) -> None:
    """Take one message of a process."""
    which = f"process {worker.rank + 1} of {crew.count} of {crew.work}"
    try:
        kind, *values = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        worker.killed = True
        worker.ended = crew.error(which, f"ended with exit code {worker.process.exitcode}", crew.way_out)
        return
    match kind:
        case "done":
            worker.ended = _Done(*values)
        case "error":
            worker.ended = values[0]
        case "failed":
            worker.ended = RuntimeError(f"{which} failed:\n{values[0]}")
        case "task":
            worker.tasks.append(open_tasks.enter_context(progress.task(*values)))
        case "advance":
            worker.tasks[-1].advance(*values)
        case "observe":
            progress.observe(*values)
        case "show":
            progress.show(*values)
        case "note":
            progress.note(*values)


def _aftermath(worker: _Worker) -> int:
    """Causes first: one that was killed, or that failed, leaves the others with errors about their connections."""
    if worker.killed:
        return 1
    return 0 if isinstance(worker.ended, DirectorError) else 2


# --- in a process of its own -------------------------------------------------------------------------------------


def _serve(do: Callable[[Hand], Any], at_start: AtStart, rank: int, count: int, pipe: Connection, threads: int) -> None:
    for number in _FROM_OUTSIDE:
        signal.signal(number, signal.SIG_IGN)  # the process that started this one says when to stop
    _end_with_parent()
    if at_start is not None:
        at_start()
    torch.set_num_threads(threads)  # sums on the CPU may depend on their number
    hand = Hand(rank, count, pipe)
    try:
        pipe.send(("done", do(hand)))
    except DirectorError as error:
        pipe.send(("error", error))
    except Exception:  # noqa: BLE001 — raised where this process was started
        pipe.send(("failed", traceback.format_exc()))
    finally:
        hand.at_end.close()


def _end_with_parent() -> None:
    """Do not live on where the process that started this one was killed, whatever this one is waiting for."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


class _Told:
    """Progress of a process, told to the one that started it."""

    def __init__(self, pipe: Connection):
        self._pipe = pipe

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        self._tell("task", title, total)
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._tell("advance", steps, note)

    def observe(self, step: int, values: dict[str, float]) -> None:
        self._tell("observe", step, values)

    def show(self, step: int, title: str, image: "Image") -> None:
        self._tell("show", step, title, image)

    def note(self, text: str) -> None:
        self._tell("note", text)

    def _tell(self, *message: Any) -> None:
        self._pipe.send(message)
