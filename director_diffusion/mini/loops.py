"""Loops: one optimizer step after another, the same for every part of the small model set.

Belongs here: optimizer, schedule, clipping and progress.  What a step's loss is, each `train_*` says.
"""

import math
from collections.abc import Iterable

from torch import Tensor, nn, optim

from director_diffusion.progress import Progress

MAX_GRAD_NORM = 1.0


def optimise(
    parameters: Iterable[nn.Parameter],
    losses: Iterable[Tensor],
    *,
    steps: int,
    lr: float,
    title: str,
    progress: Progress,
) -> None:
    """Take a step of AdamW down each of `steps` losses, which are made one by one as they are asked for.

    The learning rate (peak `lr`) warms up over a twentieth of the steps and falls to nothing along a cosine.
    """
    trained = list(parameters)
    optimizer = optim.AdamW(trained, lr=lr, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda step: _factor(step, steps))
    with progress.task(title, steps) as task:
        for loss in losses:
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
            optimizer.step()
            schedule.step()
            task.advance(note=f"loss {loss.item():.4f}")


def _factor(step: int, steps: int) -> float:
    warmup = max(steps // 20, 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
