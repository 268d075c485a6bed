"""Classroom: a teacher and its students, who share one denoiser, whatever they learn.

Belongs here: the adapter on the base, a student on top of it, what both are asked with, and a course on the training
loop.  What is learned when is `school`'s and `consistency_school`'s.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from director_diffusion.adapters.injection import adapter_weights, set_adapter_weights
from director_diffusion.adapters.layering import inject_on, wear_upper
from director_diffusion.distillation.job import Lesson, StudentJob
from director_diffusion.distillation.teacher import Guide
from director_diffusion.distillation.visits import Make, Start, complete, starts_of
from director_diffusion.errors import TrainingError
from director_diffusion.latents.buckets import buckets
from director_diffusion.progress import Progress
from director_diffusion.prompts.load import load_prompts
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import StepCount
from director_diffusion.storage import ItemCache
from director_diffusion.training.checkpoint import Checkpoints
from director_diffusion.training.data import generator
from director_diffusion.training.finished import FinishedStep, FinishedSteps
from director_diffusion.training.loop import Prepared, is_trained, train_steps
from director_diffusion.training.rows import CurvePoint
from director_diffusion.training.stopping import Stop
from director_diffusion.training.trainee import load_trainee


@dataclass(frozen=True)
class Taught:
    """A student who has learned."""

    count: StepCount
    training: str  # the identity of the course that it was chosen of
    step: int  # that was chosen, counted over all courses
    finished: FinishedStep
    held_out_loss: float
    untaught_loss: float
    curve: tuple[CurvePoint, ...]
    training_seconds: float | None  # as `rows.Student` has it


class Classroom:
    """A teacher and its students in one denoiser.  Nothing is followed or learned before it is asked for.

    Raises TrainingError where there are no prompts to learn from.
    """

    def __init__(self, job: StudentJob, accelerator: Accelerator, progress: Progress, stop: Stop):
        self._job, self._progress, self._stop, turbo = job, progress, stop, job.turbo
        recipe = job.recipe_of(turbo.steps, turbo.schedule)
        # Students are asked with the guidance that pictures are drawn with.
        self.trainee = replace(load_trainee(job.base, recipe, job.folder, accelerator), guidance=job.guidance)
        family = self.trainee.family
        self._channels = family.latent_channels(self._denoiser)
        resolution, factor = job.base.resolution, family.latent_factor(job.folder)
        self._sizes = [
            (bucket.height // factor, bucket.width // factor)
            for bucket in buckets(resolution.side, resolution.multiple, resolution.aspects)
        ]
        empty = job.empty_prompt
        self._embedded = load_prompts([*job.prompts_of("train", "validation").values(), empty], job.store)
        free = job.base.guidance.kind == "classifier_free"
        self._guide = Guide(family, job.guidance, free, self._embedded[empty.item], stop)
        self.targets = family.target_modules(self._denoiser, turbo.adapter.targets)
        torch.manual_seed(generator("initial weights", turbo.seed).initial_seed())
        inject_on(self.trainee.denoiser, job.adapter, turbo.adapter, self.targets, role=family.role)
        self._untaught = {name: tensor.clone() for name, tensor in adapter_weights(self.trainee.denoiser).items()}
        learned, judging = job.prompts_of("train"), job.prompts_of("validation")
        if not learned:
            raise TrainingError(
                f"captions of {job.director}", "include none to learn from", "Materialize prompt_embeddings again."
            )
        self._learned = list(learned.values())
        # Where all stills are learned, other noise judges.
        self._judging = [row for name, row in judging.items() if name not in learned] or self._learned

    @property
    def _denoiser(self) -> nn.Module:
        return self.trainee.denoiser

    def _trained(
        self, lesson: Lesson, prepared: Prepared, begun: Mapping[str, Tensor]
    ) -> tuple[FinishedSteps, float | None]:
        """The finished steps of a course, which begins with the weights `begun`, and its seconds.

        These are None where its steps were found, or it went on from a checkpoint.
        """
        finished, seconds = FinishedSteps(lesson.store, lesson.identity.short), None
        if not is_trained(lesson, finished):
            set_adapter_weights(self.trainee.denoiser, begun)
            spent = train_steps(lesson, prepared, self._progress, self._stop)
            seconds = spent.training if spent.resumed_from == 0 else None
        Checkpoints(lesson.work, lesson.identity, lesson.store).drop()
        return finished, seconds

    def _starts(self, prompts: Iterable[PromptRow], seeds: Sequence[int]) -> list[Start]:
        return starts_of({row.reference: self._embedded[row.item] for row in prompts}, self._sizes, seeds)

    def _worn(self, weights: Mapping[str, Tensor] | None) -> nn.Module:
        """The denoiser as the student with these weights, or as the teacher."""
        wear_upper(self.trainee.denoiser, weights is not None)
        if weights is not None:
            set_adapter_weights(self.trainee.denoiser, weights)
        return self._denoiser.eval()

    def _complete(self, starts: Sequence[Start], cache: ItemCache, make: Make, what: str) -> list[dict[str, Tensor]]:
        accelerator = self.trainee.accelerator
        with self._progress.task(f"following {what}", total=len(starts)) as task, accelerator.autocast():
            found = complete(
                starts,
                cache,
                make,
                channels=self._channels,
                device=accelerator.device,
                at_once=self._job.turbo.followed_at_once,
                task=task,
            )
        wear_upper(self.trainee.denoiser, True)
        return found
