"""Workers: one training shared by several processes, each with a part of every step (data parallel).

Belongs here: what makes a crew's processes find each other, stop together and train.  The processes are `crew`'s, what
each does is `loop`'s; what they add up, `acceleration`'s.
"""

import os
import socket
from collections.abc import Callable
from functools import partial

import torch
from accelerate import Accelerator

from director_diffusion.crew import Crew, Hand
from director_diffusion.errors import TrainingError
from director_diffusion.progress import Progress, Silent
from director_diffusion.training.acceleration import accelerated, any_process
from director_diffusion.training.curve import READ_EVERY
from director_diffusion.training.division import check_divisible
from director_diffusion.training.job import TrainingJob
from director_diffusion.training.loop import Spent, prepare, train_steps
from director_diffusion.training.memory import explain_out_of_memory
from director_diffusion.training.stopping import Stop, TrainingStopped

LAST_WORDS_S = 3.0  # for the others to tell what went wrong, of which one may be the cause
Outcome = Spent | tuple[int, int]  # or at which step of how many it was stopped


def train_in_workers(job: TrainingJob, progress: Progress, stop: Stop) -> Spent:
    """As `loop.train_steps`, by `job.processes` processes.

    Raises what the first of them raised, TrainingError where one was killed or steps cannot be shared.
    """
    check_divisible(job.recipe, job.processes)
    # Where they find each other.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    crew = Crew(
        "a training",
        job.processes,
        job.devices,
        TrainingError,
        "Run it again: it goes on from its newest checkpoint. -9 often means that memory ran out.",
        LAST_WORDS_S,
        job.at_start,
    )
    first: Outcome = crew.run(partial(_train, job, store.port), progress, stop)[0]
    if isinstance(first, Spent):
        return first
    raise TrainingStopped(*first)


# --- in a process of its own -------------------------------------------------------------------------------------


def _train(job: TrainingJob, port: int, hand: Hand) -> Outcome:
    """One process: what torchrun sets, then the training."""
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        TORCHELASTIC_USE_AGENT_STORE="True",  # the port is the starting process's
        TORCHELASTIC_RESTART_COUNT="0",
        RANK=str(hand.rank),
        LOCAL_RANK=str(hand.rank),
        WORLD_SIZE=str(hand.count),
        LOCAL_WORLD_SIZE=str(hand.count),
    )
    os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())  # by default it looks up this machine's name
    device = torch.device(job.device).type  # of those that it sees, accelerate gives each process the one of its rank
    if device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    hand.at_end.callback(_leave)
    told = hand.progress if hand.rank == 0 else Silent()
    try:
        with accelerated(job.recipe, device) as accelerator, explain_out_of_memory(job.recipe):
            spent = train_steps(job, prepare(job, accelerator), told, _asked_to_stop(hand, accelerator))
            accelerator.wait_for_everyone()
            return spent
    except TrainingStopped as stopped:
        return stopped.step, stopped.steps


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _asked_to_stop(hand: Hand, accelerator: Accelerator) -> Callable[[], bool]:
    """All must stop after the same step, so they ask each other; now and then, since that waits for the device."""
    step, asked = -1, False

    def stop() -> bool:
        nonlocal step, asked
        step += 1
        if step % READ_EVERY:
            return False
        asked = asked or hand.asked_to_stop()
        return any_process(asked, accelerator)

    return stop


def _loopback() -> str:
    return next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
