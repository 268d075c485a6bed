"""The loop: any part of a model set, from its first step to the average of its weights.

Belongs here: optimizer, schedule, average, precision, and going on after a kill.  What a step's loss is, each lesson
says.

All randomness of a step comes from torch's generator, seeded by the part's seed and the step: order of data, noise and
dropout need no state, and a training that was killed ends in the same bits as one that was not (on one machine's CPU).
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from diffusers.training_utils import EMAModel
from PIL import Image
from torch import Tensor, nn

from director_diffusion.errors import TrainingError
from director_diffusion.pretraining.checkpoint import Snapshot, newest_snapshot, save_snapshot
from director_diffusion.pretraining.specs import PartTraining
from director_diffusion.progress import Progress
from director_diffusion.specs import Schedule
from director_diffusion.training.ema import averaged, moving_average
from director_diffusion.training.schedule import learning_rate

MAX_GRAD_NORM = 1.0
BETAS = (0.9, 0.98)
OBSERVE_EVERY = 20  # steps between the points of the loss that the UI shows


class Lesson(Protocol):
    """What is trained, and on what."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Everything that learns, by names that never change."""

    def loss(self, step: int) -> Tensor:
        """The mean loss of one batch.  Torch's generator is seeded for this step."""

    def preview(self) -> Image.Image | None:
        """A picture of what is learned so far, or None.  Called with the averaged weights in place, in eval mode."""


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Torch draws from a seed made of `parts` inside, and goes on as if nothing had happened afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(*parts))
        yield


def seed_of(*parts: object) -> int:
    """A 63-bit seed that depends on every part."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def train(
    lesson: Lesson,
    settings: PartTraining,
    *,
    title: str,
    seed: int,
    work: Path,
    device: str,
    progress: Progress,
    show: Callable[[int, Image.Image], None],
) -> None:
    """Take `settings.steps` steps; leaves the averaged weights in the lesson's modules, in eval mode.

    Snapshots lie in `work`: called again with the same lesson after a kill, it goes on from the newest.  `show` is
    given the lesson's previews, by step.  Raises TrainingError where the loss, or its gradient, is not finite.
    """
    named = {f"{part}.{name}": p for part, module in lesson.modules.items() for name, p in module.named_parameters()}
    buffers = {f"{part}.{name}": b for part, module in lesson.modules.items() for name, b in module.named_buffers()}
    state = _State(named, buffers, settings)
    snapshot = newest_snapshot(work)
    if snapshot is not None:
        state.restore(snapshot)
    with progress.task(title, settings.steps) as task:
        task.advance(state.step)
        while state.step < settings.steps:
            for module in lesson.modules.values():
                module.train()
            with seeded(title, seed, state.step), autocast(settings, device):
                loss = lesson.loss(state.step)
            value = state.learn(loss)
            task.advance(note=f"loss {value:.4f}")
            if state.step % OBSERVE_EVERY == 0:
                progress.observe(state.step, {f"{title}: loss": value})
            last = state.step == settings.steps
            if state.step % settings.preview_every == 0 or last:
                _preview(lesson, settings, state, title, seed, device, show)
            if state.step % settings.checkpoint_every == 0 or last:
                save_snapshot(work, state.snapshot())
    state.average.copy_to(state.parameters)
    for module in lesson.modules.values():
        module.eval()


@contextmanager
def autocast(settings: PartTraining, device: str) -> Iterator[None]:
    """The part's precision of arithmetic."""
    with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=settings.precision == "bfloat16"):
        yield


class _State:
    """Weights, their average and the optimizer's moments after `step` steps."""

    def __init__(self, named: Mapping[str, nn.Parameter], buffers: Mapping[str, Tensor], settings: PartTraining):
        self.named, self.buffers, self.settings, self.step = named, buffers, settings, 0
        self.parameters = list(named.values())
        # Gains, biases and embeddings' vectors are not decayed (as in nanoGPT): only matrices are.
        decayed = [p for p in self.parameters if p.ndim >= 2]
        others = [p for p in self.parameters if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=settings.lr,
            betas=BETAS,
            fused=True,
        )
        self.average: EMAModel = moving_average(self.parameters, settings.ema_decay)
        steps = settings.steps
        self.schedule = Schedule(kind="cosine", warmup_steps=min(int(settings.warmup_share * steps), steps - 1))

    def learn(self, loss: Tensor) -> float:
        value = float(loss.detach())
        self._check("a loss", value)
        lr = learning_rate(self.step, self.schedule, steps=self.settings.steps, peak=self.settings.lr)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, MAX_GRAD_NORM)
        self._check("a gradient", float(norm))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.step(self.parameters)
        self.step += 1
        return value

    def _check(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"step {self.step + 1}", f"has {what} of {value}", "Lower the part's lr, or train it in float32."
            )

    def snapshot(self) -> Snapshot:
        moments = self.optimizer.state_dict()["state"]
        return Snapshot(
            step=self.step,
            tensors={
                "weights": self.named,
                "buffers": self.buffers,
                "average": dict(zip(self.named, self.average.shadow_params, strict=True)),
                "optimizer": {f"{i}.{key}": value for i, part in moments.items() for key, value in part.items()},
            },
        )

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        self.step = self.average.optimization_step = snapshot.step
        for name, parameter in self.named.items():
            parameter.copy_(snapshot.tensors["weights"][name])
        for name, buffer in self.buffers.items():
            buffer.copy_(snapshot.tensors["buffers"][name])
        for shadow, name in zip(self.average.shadow_params, self.named, strict=True):
            shadow.copy_(snapshot.tensors["average"][name])
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in snapshot.tensors["optimizer"].items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})


@torch.no_grad()
def _preview(
    lesson: Lesson,
    settings: PartTraining,
    state: _State,
    title: str,
    seed: int,
    device: str,
    show: Callable[[int, Image.Image], None],
) -> None:
    for module in lesson.modules.values():
        module.eval()
    with averaged(state.average, state.parameters), seeded(title, seed, "preview"), autocast(settings, device):
        picture = lesson.preview()
    if picture is not None:
        show(state.step, picture)
