"""Timed: the same prompts and noise drawn in several ways, and how long each takes.

Belongs here: drawing picture by picture with one pipeline whose adapters are swapped, and clocks that wait for the
device.  What a plan asks for is drawn by `draw`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from PIL import Image

from director_diffusion.families import longest_count, painter_of
from director_diffusion.progress import Progress
from director_diffusion.sampling.ways import Way, check_length
from director_diffusion.specs import Base


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
) -> Iterator[Drawn]:
    """Draw every way's prompts from every seed, one picture at a time; each way is given when it is drawn.

    `base` is what draws, and `folder` holds it.  Raises EvaluationError, before anything is loaded, for a prompt that
    the base would cut off; ModelError for adapters that do not fit it.
    """
    count = longest_count([(base.family, folder)])
    for prompt in dict.fromkeys(prompt for way in ways for prompt in way.prompts):
        check_length(prompt, count, base)
    painter = painter_of(base, folder, device=device)

    def clock() -> float:
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    with progress.task("drawing", sum(len(way.prompts) * len(seeds) for way in ways)) as task:
        for way in ways:
            started = clock()
            painter.attach(*way.adapters, strengths=way.strengths)
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
            yield Drawn(way, rows, warm_up_s, tuple(seconds))
