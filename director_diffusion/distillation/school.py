"""School: a teacher and its students, who share one denoiser.

Belongs here: the adapter merged into the base, a student on top of it, and what each student learns when.  First it
learns on its teacher's way, where all states are right; then also on its own, where it comes to be wrong and would
drift (Ross et al. 2011, DAgger).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from director_diffusion.adapters.files import read_adapter
from director_diffusion.adapters.injection import adapter_weights, inject_adapter, set_adapter_weights
from director_diffusion.distillation.batches import Segment, SegmentBatches, in_batches, of_trajectory, of_visit
from director_diffusion.distillation.job import Lesson, StudentJob, lesson_of
from director_diffusion.distillation.teacher import Guide, merge
from director_diffusion.distillation.visits import Make, Start, complete, starts_of, trajectories, visits
from director_diffusion.errors import TrainingError
from director_diffusion.latents.buckets import buckets
from director_diffusion.processes import Flow
from director_diffusion.progress import Progress
from director_diffusion.prompts.load import load_prompts
from director_diffusion.specs import Schedule, StepCount
from director_diffusion.storage import ItemCache
from director_diffusion.training.checkpoint import Checkpoints
from director_diffusion.training.curve import base_held_out_loss, best_checkpoint
from director_diffusion.training.data import Batch, generator
from director_diffusion.training.finished import FinishedStep, FinishedSteps
from director_diffusion.training.loop import Prepared, is_trained, train_steps
from director_diffusion.training.rows import CurvePoint
from director_diffusion.training.stopping import Stop
from director_diffusion.training.trainee import Trainee, load_trainee


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


@dataclass(frozen=True)
class _Ways:
    """Trajectories of the teacher, with what they start from."""

    starts: Sequence[Start]
    found: Sequence[Mapping[str, Tensor]]

    def segments(self, count: int) -> list[Segment]:
        return [
            segment
            for start, found in zip(self.starts, self.found, strict=True)
            for segment in of_trajectory(start, found, count)
        ]


def bare_trainee(job: StudentJob, accelerator: Accelerator) -> Trainee:
    """The base alone, asked with the guidance that its pictures are drawn with."""
    recipe = job.recipe_of(job.turbo.steps, job.turbo.schedule)
    return replace(load_trainee(job.base, recipe, job.folder, accelerator), guidance=job.guidance)


class School:
    """Raises TrainingError where there are no prompts to learn from."""

    def __init__(self, job: StudentJob, accelerator: Accelerator, progress: Progress, stop: Stop):
        self._job, self._progress, self._stop, turbo = job, progress, stop, job.turbo
        self.trainee = bare_trainee(job, accelerator)
        merge(self._denoiser, read_adapter(job.adapter))
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
        self._guide = Guide(family, job.guidance, free, self._embedded[empty.item])
        torch.manual_seed(generator("initial weights", turbo.seed).initial_seed())
        self.targets = family.target_modules(self._denoiser, turbo.adapter.targets)
        inject_adapter(self.trainee.denoiser, turbo.adapter, self.targets)
        self._untaught = {name: tensor.clone() for name, tensor in adapter_weights(self.trainee.denoiser).items()}
        learned, judging = job.prompts_of("train"), job.prompts_of("validation")
        if not learned:
            raise TrainingError(
                f"captions of {job.director}", "include none to learn from", "Materialize prompt_embeddings again."
            )
        self._learned = self._ways(list(learned), range(turbo.trajectories))
        # Where all stills are learned, other noise judges.
        self._judging = self._ways(sorted(judging.keys() - learned.keys()) or list(learned), [turbo.trajectories])

    @property
    def _denoiser(self) -> nn.Module:
        return self.trainee.denoiser

    def judged_on(self, count: StepCount) -> list[Batch]:
        """What a student's held-out loss is measured on."""
        return in_batches(self._judging.segments(count), self._job.turbo.batch_size, self.trainee.scale)

    def teach(self, count: StepCount) -> Taught:
        """Train the student of `count` steps, as far as it is not trained yet."""
        started, turbo = time.perf_counter(), self._job.turbo
        segments = self._learned.segments(count)
        lesson = self._lesson(count, turbo.steps, turbo.schedule, after="")
        finished = self._taught(count, lesson, segments, self._untaught)
        curve = first = finished.curve()
        untaught = base_held_out_loss(curve)
        if turbo.visited_steps and count > 1:  # a single step begins where all begin
            step, _ = best_checkpoint(curve)
            begun, after = finished.load(step).weights, f"{lesson.identity.short}, step {step}"
            segments += self._visited(count, begun, after)
            # Warmed up it is.
            schedule = turbo.schedule.model_copy(update={"warmup_steps": 0})
            lesson = self._lesson(count, turbo.visited_steps, schedule, after=after)
            finished = self._taught(count, lesson, segments, begun)
            curve = finished.curve()
        step, loss = best_checkpoint(curve)
        before = first[-1].step if curve is not first else 0
        return Taught(
            count=count,
            training=lesson.identity.short,
            step=before + step,
            finished=finished.load(step),
            held_out_loss=loss,
            untaught_loss=untaught,
            curve=first if curve is first else (*first, *(replace(one, step=before + one.step) for one in curve[1:])),
            seconds=time.perf_counter() - started,
        )

    def _lesson(self, count: StepCount, steps: int, schedule: Schedule, *, after: str) -> Lesson:
        starts = [start.item for ways in (self._learned, self._judging) for start in ways.starts]
        return lesson_of(self._job, count, steps, schedule, starts=starts, after=after)

    def _taught(
        self, count: StepCount, lesson: Lesson, segments: Sequence[Segment], begun: Mapping[str, Tensor]
    ) -> FinishedSteps:
        """The finished steps of a course, which begins with the weights `begun`."""
        finished = FinishedSteps(lesson.store, lesson.identity.short)
        if not is_trained(lesson, finished):
            recipe, trainee = lesson.recipe, self.trainee
            set_adapter_weights(trainee.denoiser, begun)
            batches = SegmentBatches(
                segments, trainee.scale, steps=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed
            )
            prepared = Prepared(trainee, self.targets, batches, self.judged_on(count), None)
            train_steps(lesson, prepared, self._progress, self._stop)
        Checkpoints(lesson.work, lesson.identity).drop()
        return finished

    def _ways(self, prompts: Sequence[str], seeds: Sequence[int]) -> _Ways:
        turbo = self._job.turbo
        starts = starts_of({name: self._embedded[name] for name in prompts}, self._sizes, seeds)
        make = trajectories(self._guide, lambda: self._worn(None), self._flow, steps=turbo.teacher_steps)
        return _Ways(starts, self._complete(starts, self._job.cache("trajectories"), make, "ways"))

    def _visited(self, count: StepCount, weights: Mapping[str, Tensor], of: str) -> list[Segment]:
        """Segments that begin where the student with these weights comes to."""
        make = visits(
            self._guide,
            lambda: self._worn(weights),
            lambda: self._worn(None),
            self._flow,
            steps=self._job.turbo.teacher_steps,
            count=count,
        )
        starts = self._learned.starts
        found = self._complete(starts, self._job.cache("visits", student=of, count=count), make, "student's ways")
        return [
            segment
            for start, one in zip(starts, found, strict=True)
            for segment in of_visit(start, one, self._flow.grid(count, start.cells))
        ]

    def _worn(self, weights: Mapping[str, Tensor] | None) -> nn.Module:
        """The denoiser as the student with these weights, or as the teacher."""
        if weights is None:
            self.trainee.denoiser.disable_adapters()
        else:
            self.trainee.denoiser.enable_adapters()
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
                task=task,
                stop=self._stop,
            )
        self.trainee.denoiser.enable_adapters()
        return found
