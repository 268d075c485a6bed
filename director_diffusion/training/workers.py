"""Workers: one training shared by several processes, each with a part of every step (data parallel).

Belongs here: starting them on this machine, passing on what they tell, and ending them together.  What a process does
is `loop`'s; what they add up, `acceleration`'s.

Each has a pipe of its own to the process that started it, so that one that is killed is seen at once by the pipe's end,
and what it told before is whole.
"""

import multiprocessing
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator

from director_diffusion.errors import DirectorError, TrainingError
from director_diffusion.progress import Progress, Task
from director_diffusion.training.acceleration import accelerated, any_process
from director_diffusion.training.curve import READ_EVERY
from director_diffusion.training.job import TrainingJob
from director_diffusion.training.loop import Spent, prepare, train_steps
from director_diffusion.training.memory import explain_out_of_memory
from director_diffusion.training.stopping import Stop, TrainingStopped

if TYPE_CHECKING:
    from PIL.Image import Image

CONTEXT: SpawnContext | ForkServerContext = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
VISIBLE = "CUDA_VISIBLE_DEVICES"
_FROM_OUTSIDE = (signal.SIGINT, signal.SIGTERM)
WAIT_S = 0.2  # between looks at whether to stop
LAST_WORDS_S = 3.0  # for the others to tell what went wrong, of which one may be the cause


@dataclass
class _Worker:
    """A process that trains, and how it ended: what it gave, or an error of its own or about it."""

    rank: int
    process: BaseProcess
    pipe: Connection
    ended: Spent | Exception | None = None
    gone: bool = False


def train_in_workers(job: TrainingJob, progress: Progress, stop: Stop) -> Spent:
    """As `loop.train_steps`, by `job.processes` processes.

    Raises what the first of them raised, TrainingError where one was killed.
    """
    # Where they find each other.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    workers: list[_Worker] = []
    try:
        for rank in range(job.processes):
            workers.append(_start(job, rank, store.port))
        return _follow(workers, progress, stop)
    finally:
        for worker in workers:
            worker.process.kill()  # where all is well, they have nothing left to do
            worker.process.join()
            worker.pipe.close()


def _start(job: TrainingJob, rank: int, port: int) -> _Worker:
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_work, args=(job, rank, port, there), daemon=True)
    # A terminal's Ctrl-C reaches them too: held off until they ignore it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FROM_OUTSIDE)
    try:
        with seeing(job.devices):
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()  # theirs alone, so that its end is theirs
    return _Worker(rank, process, here)


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


def _follow(workers: Sequence[_Worker], progress: Progress, stop: Stop) -> Spent:
    """Pass on what they tell until the first is done or something ended one of them."""
    asked = False
    with ExitStack() as open_tasks:
        show = _Shown(progress, open_tasks)
        deadline = float("inf")
        while not isinstance(workers[0].ended, Spent) and time.monotonic() < deadline:
            if stop() and not asked:
                asked = True
                for worker in workers:
                    with suppress(BrokenPipeError):  # it is gone, which is told below
                        worker.pipe.send("stop")
            listening = {worker.pipe: worker for worker in workers if not worker.gone}
            if not listening:
                break
            for pipe in wait(list(listening), WAIT_S):
                worker = listening[pipe]  # type: ignore[index]
                _hear(worker, len(workers), show)
                if isinstance(worker.ended, Exception):
                    deadline = min(deadline, time.monotonic() + LAST_WORDS_S)
    if isinstance(spent := workers[0].ended, Spent):
        return spent
    raise min((worker.ended for worker in workers if isinstance(worker.ended, Exception)), key=_aftermath)


def _hear(worker: _Worker, count: int, show: "_Shown") -> None:
    """Take one message of a process."""
    try:
        kind, *values = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.gone = True
        if worker.ended is None:
            worker.process.join()
            worker.ended = _KilledError(
                f"process {worker.rank + 1} of {count} of a training",
                f"ended with exit code {worker.process.exitcode}",
                "Run it again: it goes on from its newest checkpoint. -9 often means that memory ran out.",
            )
        return
    match kind:
        case "done":
            worker.ended = Spent(*values)
        case "stopped":
            worker.ended = TrainingStopped(*values)
        case "error":
            worker.ended = values[0]
        case "failed":
            worker.ended = RuntimeError(f"process {worker.rank + 1} of {count} of a training failed:\n{values[0]}")
        case _:
            show.tell(kind, *values)


class _KilledError(TrainingError):
    """A process of a training ended without a word."""


def _aftermath(error: Exception) -> int:
    """Causes first: one that was killed, or that failed, leaves the others with errors about their connections."""
    if isinstance(error, _KilledError):
        return 1
    return 0 if isinstance(error, (DirectorError, TrainingStopped)) else 2


# --- in a process of its own -------------------------------------------------------------------------------------


def _work(job: TrainingJob, rank: int, port: int, pipe: Connection) -> None:
    """One process: what torchrun sets, then the training."""
    for number in _FROM_OUTSIDE:
        signal.signal(number, signal.SIG_IGN)  # the process that started this one says when to stop
    _end_with_parent()
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        TORCHELASTIC_USE_AGENT_STORE="True",  # the port is the starting process's
        TORCHELASTIC_RESTART_COUNT="0",
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(job.processes),
        LOCAL_WORLD_SIZE=str(job.processes),
    )
    os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())  # by default it looks up this machine's name
    device = torch.device(job.device).type  # of those that it sees, accelerate gives each process the one of its rank
    if device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    try:
        with accelerated(job.recipe, device) as accelerator, explain_out_of_memory(job.recipe):
            told = _Told(pipe, rank)
            spent = train_steps(job, prepare(job, accelerator), told, _asked_to_stop(pipe, accelerator))
            accelerator.wait_for_everyone()
        pipe.send(("done", spent.training, spent.previews, spent.resumed_from))
    except TrainingStopped as stopped:
        pipe.send(("stopped", stopped.step, stopped.steps))
    except DirectorError as error:
        pipe.send(("error", error))
    except Exception:  # noqa: BLE001 — raised where this process was started
        pipe.send(("failed", traceback.format_exc()))
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _asked_to_stop(pipe: Connection, accelerator: Accelerator) -> Callable[[], bool]:
    """All must stop after the same step, so they ask each other; now and then, since that waits for the device."""
    step, asked = -1, False

    def stop() -> bool:
        nonlocal step, asked
        step += 1
        if step % READ_EVERY:
            return False
        asked = asked or pipe.poll()
        return any_process(asked, accelerator)

    return stop


def _end_with_parent() -> None:
    """Do not live on where the process that started this one was killed, whatever this one is waiting for."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _loopback() -> str:
    return next(name for _, name in socket.if_nameindex() if name.startswith("lo"))


# --- what is told ------------------------------------------------------------------------------------------------


class _Told:
    """Progress of the first process, told to the one that started it."""

    def __init__(self, pipe: Connection, rank: int):
        self._pipe, self._rank = pipe, rank

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
        if self._rank == 0:
            self._pipe.send(message)


@dataclass
class _Shown:
    """The other end of `_Told`."""

    progress: Progress
    open_tasks: ExitStack
    _tasks: list[Task] = field(default_factory=list)

    def tell(self, kind: str, *values: Any) -> None:
        match kind:
            case "task":
                self._tasks.append(self.open_tasks.enter_context(self.progress.task(*values)))
            case "advance":
                self._tasks[-1].advance(*values)
            case "observe":
                self.progress.observe(*values)
            case "show":
                self.progress.show(*values)
            case "note":
                self.progress.note(*values)
