"""Timed: the same prompts and noise drawn in several ways, and how long each takes.

Belongs here: drawing picture by picture with one pipeline whose adapters are swapped, and clocks that wait for the
device.  What a plan asks for is drawn by `draw`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from PIL import Image

from director_diffusion.errors import EvaluationError
from director_diffusion.families import get_family, longest_count
from director_diffusion.progress import Progress
from director_diffusion.sampling.samplers import Sampler
from director_diffusion.specs import Base


@dataclass(frozen=True)
class Way:
    """One way to draw."""

    title: str
    prompts: tuple[str, ...]  # in full
    adapters: tuple[Path, ...]  # worn one on top of the other; () is the bare base
    sampler: Sampler


@dataclass(frozen=True)
class Drawn:
    """What came of one way: a row of images per prompt, by seed."""

    way: Way
    images: list[list[Image.Image]]
    warm_up_s: float  # swapping adapters, and a first picture that is not kept
    seconds: tuple[float, ...]  # of each picture, prompts and decoding among them

    @property
    def per_image_s(self) -> float:
        return median(self.seconds)


def draw_ways(
    ways: Sequence[Way], seeds: Sequence[int], base: Base, folder: Path, *, device: str, progress: Progress
) -> list[Drawn]:
    """Draw every way's prompts from every seed, one picture at a time.

    `base` is what draws, and `folder` holds it.  Raises EvaluationError, before anything is loaded, for a prompt that
    the base would cut off; ModelError for adapters that do not fit it.
    """
    _check_lengths(ways, base, folder)
    painter = get_family(base.family).load_painter(
        folder,
        device=device,
        dtype=getattr(torch, base.dtype),
        guidance_kind=base.guidance.kind,
        max_tokens=base.max_prompt_tokens,
    )

    def clock() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    drawn = []
    with progress.task("drawing", sum(len(way.prompts) * len(seeds) for way in ways)) as task:
        for way in ways:
            started = clock()
            painter.attach(*way.adapters)
            painter.draw(way.prompts[:1], list(seeds[:1]), **vars(way.sampler))
            warm_up_s = clock() - started
            rows, seconds = [], []
            for prompt in way.prompts:
                row = []
                for seed in seeds:
                    started = clock()
                    row += painter.draw([prompt], [seed], **vars(way.sampler))
                    seconds.append(clock() - started)
                    task.advance()
                rows.append(row)
            drawn.append(Drawn(way, rows, warm_up_s, tuple(seconds)))
    return drawn


def _check_lengths(ways: Sequence[Way], base: Base, folder: Path) -> None:
    count, most = longest_count([(base.family, folder)]), base.max_prompt_tokens
    for prompt in dict.fromkeys(prompt for way in ways for prompt in way.prompts):
        if (tokens := count(prompt)) > most:
            raise EvaluationError(
                f'prompt "{prompt[:80]}"',
                f"has {tokens} tokens, and {base.slug} reads {most}: the end would be cut off",
                "Shorten it.",
            )
