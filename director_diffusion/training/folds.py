"""Folds: two trainings, of which each learns what the other holds out, and a third that learns all stills.

Belongs here: turning a director's training into one of those.  Which stills a fold holds out is `stills.split`'s.
Imports no torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from director_diffusion.errors import TrainingError
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.stills.rows import Split
from director_diffusion.training.job import OfFolds, TrainingJob

_STILLS = ("train", "validation", "held_out")  # splits of stills; others are of the prior, of previews, of no still
_Row = TypeVar("_Row", LatentRow, PromptRow)


def with_split(job: TrainingJob, split: Mapping[str, Split]) -> TrainingJob:
    """The same training by another split of its stills, by still id.  Raises TrainingError where that lacks one."""
    return replace(job, latents=_resplit(job.latents, split), prompts=_resplit(job.prompts, split))


def on_all_stills(job: TrainingJob, steps: Sequence[int]) -> TrainingJob:
    """The same training with nothing held out; its step is chosen by those that the folds chose.

    The stills that chose the first fold's step are watched: a training that breaks shows there too.
    """
    watched = tuple(sorted(row.still for row in job.latents if row.split == "validation"))
    learned: dict[str, Split] = {row.still: "train" for row in job.latents if row.split in _STILLS}
    return replace(with_split(job, learned), folds=OfFolds(tuple(steps), watched))


def _resplit(rows: Iterable[_Row], split: Mapping[str, Split]) -> tuple[_Row, ...]:
    found = []
    for row in rows:
        if row.split not in _STILLS or not row.still:
            found.append(row)
        elif row.still in split:
            found.append(replace(row, split=split[row.still]))
        else:
            raise TrainingError(
                f"still {row.still}", "is in no fold", "Materialize stills, latents and prompt_embeddings again."
            )
    return tuple(found)
