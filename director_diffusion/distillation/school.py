"""School: a teacher and its students, who share one denoiser.

Belongs here: the adapter on the base, a student on top of it, and what each student learns when.  First it
learns on its teacher's way, where all states are right; then also on its own, where it comes to be wrong and would
drift (Ross et al. 2011, DAgger).
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from director_diffusion.adapters.injection import adapter_weights, set_adapter_weights
from director_diffusion.adapters.layering import inject_on, wear_upper
from director_diffusion.distillation.batches import Segment, SegmentBatches, in_batches, of_trajectory, of_visit
from director_diffusion.distillation.job import Lesson, StudentJob, lesson_of
from director_diffusion.distillation.teacher import Guide
from director_diffusion.distillation.visits import Make, Start, complete, starts_of, trajectories, visits
from director_diffusion.errors import TrainingError
from director_diffusion.latents.buckets import buckets
from director_diffusion.processes import Flow
from director_diffusion.progress import Progress
from director_diffusion.prompts.load import load_prompts
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Schedule, StepCount
from director_diffusion.storage import ItemCache
from director_diffusion.training.checkpoint import Checkpoints
from director_diffusion.training.curve import best_checkpoint
from director_diffusion.training.data import Batch, generator
from director_diffusion.training.finished import FinishedStep, FinishedSteps
from director_diffusion.training.held_out import held_out_loss
from director_diffusion.training.loop import Prepared, is_trained, train_steps
from director_diffusion.training.rows import CurvePoint
from director_diffusion.training.stopping import Stop
from director_diffusion.training.trainee import load_trainee


@dataclass(frozen=True)
class Taught:
    """A student who has learned."""

    count: StepCount
    training: str  # the identity of its last course
    step: int  # that was chosen, counted over all courses
    finished: FinishedStep
    held_out_loss: float
    untaught_loss: float
    curve: tuple[CurvePoint, ...]
    seconds: float


class School:
    """A teacher and its students in one denoiser.  Nothing is followed or learned before `teach` asks for it.

    Raises TrainingError where there are no prompts to learn from, or the base is no flow.
    """

    def __init__(self, job: StudentJob, accelerator: Accelerator, progress: Progress, stop: Stop):
        self._job, self._progress, self._stop, turbo = job, progress, stop, job.turbo
        recipe = job.recipe_of(turbo.steps, turbo.schedule)
        # Students are asked with the guidance that pictures are drawn with.
        self.trainee = replace(load_trainee(job.base, recipe, job.folder, accelerator), guidance=job.guidance)
        family, process = self.trainee.family, self.trainee.process
        if not isinstance(process, Flow):
            raise TrainingError(
                f"recipe {job.recipe.slug}", "asks for segments of a flow", "Choose another kind of `turbo`."
            )
        self._flow, self._channels = process, family.latent_channels(self._denoiser)
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
        self._learned_from = self._starts(learned.values(), range(turbo.trajectories))
        unseen = [row for name, row in judging.items() if name not in learned]
        # Where all stills are learned, other noise judges.
        self._judged_from = self._starts(unseen or learned.values(), [turbo.trajectories])

    @property
    def _denoiser(self) -> nn.Module:
        return self.trainee.denoiser

    def judged_on(self, count: StepCount) -> list[Batch]:
        """What a student's held-out loss is measured on at first: its teacher's ways."""
        return self._batches(self._segments(self._judged_from, count))

    def teach(self, count: StepCount) -> Taught:
        """Train the student of `count` steps, as far as it is not trained yet."""
        started, turbo = time.perf_counter(), self._job.turbo
        segments, judging = (self._segments(starts, count) for starts in (self._learned_from, self._judged_from))
        lesson = self._lesson(count, turbo.steps, turbo.schedule, after="")
        finished = self._taught(lesson, segments, judging, self._untaught)
        curve = first = finished.curve()
        if turbo.visited_steps and count > 1:  # a single step begins where all begin
            step, _ = best_checkpoint(curve)
            begun, after = finished.load(step).weights, f"{lesson.identity.short}, step {step}"
            segments += self._visited(self._learned_from, count, begun, after)
            judging += self._visited(self._judged_from, count, begun, after)
            # Warmed up it is.
            schedule = turbo.schedule.model_copy(update={"warmup_steps": 0})
            lesson = self._lesson(count, turbo.visited_steps, schedule, after=after)
            finished = self._taught(lesson, segments, judging, begun)
            curve = finished.curve()
        step, loss = best_checkpoint(curve)
        before = first[-1].step if curve is not first else 0
        set_adapter_weights(self.trainee.denoiser, self._untaught)
        return Taught(
            count=count,
            training=lesson.identity.short,
            step=before + step,
            finished=finished.load(step),
            held_out_loss=loss,
            untaught_loss=held_out_loss(self.trainee, self._batches(judging)),
            curve=first if curve is first else (*first, *(replace(one, step=before + one.step) for one in curve[1:])),
            seconds=time.perf_counter() - started,
        )

    def _lesson(self, count: StepCount, steps: int, schedule: Schedule, *, after: str) -> Lesson:
        starts = [start.item for start in (*self._learned_from, *self._judged_from)]
        return lesson_of(self._job, count, steps, schedule, starts=starts, after=after)

    def _taught(
        self,
        lesson: Lesson,
        segments: Sequence[Segment],
        judging: Sequence[Segment],
        begun: Mapping[str, Tensor],
    ) -> FinishedSteps:
        """The finished steps of a course, which begins with the weights `begun`."""
        finished = FinishedSteps(lesson.store, lesson.identity.short)
        if not is_trained(lesson, finished):
            recipe, trainee = lesson.recipe, self.trainee
            set_adapter_weights(trainee.denoiser, begun)
            batches = SegmentBatches(
                segments, trainee.scale, steps=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed
            )
            train_steps(
                lesson,
                Prepared(trainee, self.targets, batches, self._batches(judging), None),
                self._progress,
                self._stop,
            )
        Checkpoints(lesson.work, lesson.identity).drop()
        return finished

    def _batches(self, segments: Sequence[Segment]) -> list[Batch]:
        return in_batches(segments, self._job.turbo.batch_size, self.trainee.scale)

    def _starts(self, prompts: Iterable[PromptRow], seeds: Sequence[int]) -> list[Start]:
        return starts_of({row.reference: self._embedded[row.item] for row in prompts}, self._sizes, seeds)

    def _segments(self, starts: Sequence[Start], count: int) -> list[Segment]:
        """Those of the teacher's ways."""
        make = trajectories(self._guide, lambda: self._worn(None), self._flow, steps=self._job.turbo.teacher_steps)
        found = self._complete(starts, self._job.cache("trajectories"), make, "ways")
        return [
            segment for start, one in zip(starts, found, strict=True) for segment in of_trajectory(start, one, count)
        ]

    def _visited(
        self, starts: Sequence[Start], count: StepCount, weights: Mapping[str, Tensor], of: str
    ) -> list[Segment]:
        """Segments that begin where the student with these weights comes to."""
        make = visits(
            self._guide,
            lambda: self._worn(weights),
            lambda: self._worn(None),
            self._flow,
            steps=self._job.turbo.teacher_steps,
            count=count,
        )
        found = self._complete(starts, self._job.cache("visits", student=of, count=count), make, "student's ways")
        return [
            segment
            for start, one in zip(starts, found, strict=True)
            for segment in of_visit(start, one, self._flow.grid(count, start.cells))
        ]

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
