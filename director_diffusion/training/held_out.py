"""Held-out loss: how well stills that were never trained on are predicted.

Belongs here: the fixed batches it is measured on, and the mean.  Noise is fixed by still and draw, never by the
recipe's seed, so that checkpoints, and recipes of one base, compare.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

import torch
from accelerate.utils import gather_object

from director_diffusion.processes import Process
from director_diffusion.specs import HeldOut
from director_diffusion.training.data import Batch, Drawn, Sample, collate, draw_posterior, generator, of_one_size
from director_diffusion.training.trainee import Trainee


def held_out_batches(samples: Sequence[Sample], spec: HeldOut, process: Process, batch_size: int) -> list[Batch]:
    """Every still with each of its noises at each noise level, in batches of one bucket."""
    times = [process.at(level) for level in spec.levels]
    drawn = [one for sample in samples for draw in range(spec.noises) for one in _levels(sample, draw, times)]
    return [collate(some) for some in of_one_size(drawn, batch_size)]


def _levels(sample: Sample, draw: int, times: Sequence[float]) -> list[Drawn]:
    """One still with one noise at all noise levels."""
    rng = generator("held-out", sample.still, draw)
    latents = draw_posterior(sample, rng)
    noise = torch.randn(latents.shape, generator=rng)
    return [Drawn(sample.still, latents, noise, t, {**sample.prompt, **sample.sizes}) for t in times]


@torch.no_grad()
def held_out_loss(trainee: Trainee, batches: Sequence[Batch], directors: Mapping[str, str] | None = None) -> float:
    """Mean over stills, noises and noise levels, without dropout; several processes share the batches.

    Of stills of several `directors`, by still, the mean of each director's: the most stills do not choose the step.
    """
    trainee.denoiser.eval()
    accelerator = trainee.accelerator
    mine = range(accelerator.process_index, len(batches), accelerator.num_processes)
    found = {number: trainee.losses(batches[number]).tolist() for number in mine}
    if accelerator.num_processes > 1:
        found = {number: losses for part in gather_object([found]) for number, losses in part.items()}
    by_director: dict[str, list[float]] = {}
    for number, batch in enumerate(batches):
        for still, loss in zip(batch.stills, found[number], strict=True):
            by_director.setdefault((directors or {}).get(still, ""), []).append(loss)
    return fmean(torch.tensor(losses).mean().item() for losses in by_director.values())
