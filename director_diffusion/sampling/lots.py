"""Lots: batches of pictures in which something is missing, drawn by this process or shared among several.

Belongs here: cutting batches, drawing them and keeping each picture at once.  Which pictures are asked for is `draw`'s;
processes are `crew`'s.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from director_diffusion.crew import AtStart, Crew, Hand
from director_diffusion.errors import EvaluationError
from director_diffusion.families.base import Painter
from director_diffusion.hashing import hash_data
from director_diffusion.progress import Silent, Task
from director_diffusion.sampling.images import png_bytes
from director_diffusion.sampling.rows import Arm
from director_diffusion.sampling.samplers import Sampler
from director_diffusion.sampling.wearing import ArmAdapter, LazyPainter, drawn_by
from director_diffusion.specs import Base
from director_diffusion.storage import ItemCache

LAST_BATCH_S = 600.0  # for a batch that others are at when one of them fails: what they draw is kept


class Wanted(Protocol):
    """An image that is asked for, and what it is called in the cache."""

    @property
    def full_prompt(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def item(self) -> str: ...


One = TypeVar("One", bound=Wanted)


@dataclass(frozen=True)
class Sheet:
    """What an arm is drawn with, and where its pictures are kept."""

    arm: Arm
    worn: ArmAdapter | None
    sampler: Sampler
    images: ItemCache


@dataclass(frozen=True)
class Lot:
    """A batch, of which something is missing."""

    sheet: Sheet
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class DrawingJob:
    """All that is to be drawn, before anything is loaded: plain data, which a process of its own can be given."""

    base: Base
    folder: Path  # the base's
    device: str
    by: str  # `drawn_by` of that device: pictures are kept under it
    lots: tuple[Lot, ...]  # arm by arm


Pace = tuple[Arm, float]
"""Images a second that a lot of an arm came to, in its process."""


def batches_of(wanted: Sequence[One], batch_size: int, whose: str = "") -> list[tuple[One, ...]]:
    """All that is wanted, in batches.

    They are cut from all that is wanted, not from what is missing: low-order bits may depend on a batch's size, so a
    run that goes on after a kill, and each of several processes, draws each image in the company it would have had.
    `whose` gives them an order of their own: of several runs that want the same, each finds some drawn by the others
    when it comes to them.
    """
    starts = sorted(range(0, len(wanted), batch_size), key=lambda start: hash_data([whose, start]))
    return [tuple(wanted[start : start + batch_size]) for start in starts]


def draw_missing(
    wanted: Sequence[Wanted],
    images: ItemCache,
    sampler: Sampler,
    batch_size: int,
    painter: Callable[[], Painter],
    task: Task,
    *,
    whose: str = "",
) -> None:
    """Draw the batches (`batches_of`) in which something is missing, in this process."""
    absent = set(images.missing(_items(wanted)))
    for batch in batches_of(wanted, batch_size, whose):
        if not absent.isdisjoint(_items(batch)):
            _draw_batch(batch, images, sampler, painter)
        task.advance(len(batch))


def draw_lots(
    job: DrawingJob, task: Task, *, processes: int = 1, devices: Sequence[str] = (), at_start: AtStart = None
) -> list[Pace]:
    """Draw all lots, each by one of so many processes, with a device each where some are lent (their UUIDs); each calls
    `at_start` first.

    What comes out is the same by however many.  Every picture is kept once its batch is drawn; where one process fails
    or is killed, the others end the batch that they are at, and its error is raised: EvaluationError for one that was
    killed, or whose device draws otherwise than the others.
    """
    count = min(processes, len(job.lots))
    if count <= 1:
        return _draw_part(job, job.lots, job.device, task)
    crew = Crew(
        "the drawing of samples",
        count,
        tuple(devices[:count]),
        EvaluationError,
        "Run it again: all that was drawn is kept, and the rest is drawn. -9 often means that memory ran out.",
        LAST_BATCH_S,
        at_start,
    )
    return [pace for part in crew.run(partial(_draw_shard, job), _Into(task)) for pace in part]


def _draw_shard(job: DrawingJob, hand: Hand) -> list[Pace]:
    """One process: every so manieth lot, so that each comes to all arms."""
    device = hand.device(job.device)
    if torch.device(device).type == "cuda":
        torch.cuda.set_device(device)
    if (by := drawn_by(device)) != job.by:
        raise EvaluationError(
            f"process {hand.rank + 1} of {hand.count} of the drawing of samples",
            f"would draw by {by}, the first by {job.by}: pictures that are compared must not differ by it",
            "Draw with one GPU (director/gpus: 1), or show this deployment GPUs of one kind (CUDA_VISIBLE_DEVICES).",
        )
    with hand.progress.task("Drawing samples", len(job.lots)) as task:
        return _draw_part(job, job.lots[hand.rank :: hand.count], device, task, hand.asked_to_stop)


def _draw_part(
    job: DrawingJob, lots: Iterable[Lot], device: str, task: Task, stop: Callable[[], bool] = lambda: False
) -> list[Pace]:
    painter, paces = LazyPainter(job.base, job.folder, device), list[Pace]()
    for lot in lots:
        if stop():
            break
        painter.use(lot.sheet.worn)
        pace = _draw_batch(lot.wanted, lot.sheet.images, lot.sheet.sampler, painter.get)
        paces += [] if pace is None else [(lot.sheet.arm, pace)]
        task.advance(len(lot.wanted))
    return paces


def _draw_batch(
    batch: Sequence[Wanted], images: ItemCache, sampler: Sampler, painter: Callable[[], Painter]
) -> float | None:
    """Images a second; None where another run has drawn all of it by now."""
    missing = set(images.missing(_items(batch)))
    if not missing:
        return None
    ready, started = painter(), time.perf_counter()
    drawn = ready.draw([one.full_prompt for one in batch], [one.seed for one in batch], **vars(sampler))
    seconds = time.perf_counter() - started
    for one, image in zip(batch, drawn, strict=True):
        if one.item in missing:
            images.write(one.item, png_bytes(image))
    return len(batch) / seconds


def _items(wanted: Iterable[Wanted]) -> list[str]:
    return [one.item for one in wanted]


class _Into(Silent):
    """Shows what several processes do as one task."""

    def __init__(self, task: Task):
        self._task = task

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        yield self._task
