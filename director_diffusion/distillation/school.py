"""School: students of segments, and what each learns when.

Belongs here: first a student learns on its teacher's way, where all states are right; then also on its own, where it
comes to be wrong and would drift (Ross et al. 2011, DAgger).  What it shares with other kinds is `classroom`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from accelerate import Accelerator
from torch import Tensor

from director_diffusion.adapters.injection import set_adapter_weights
from director_diffusion.distillation.batches import Segment, SegmentBatches, in_batches, of_trajectory, of_visit
from director_diffusion.distillation.classroom import Classroom, Taught
from director_diffusion.distillation.job import Lesson, StudentJob, lesson_of
from director_diffusion.distillation.visits import Start, trajectories, visits
from director_diffusion.errors import TrainingError
from director_diffusion.processes import Flow
from director_diffusion.progress import Progress
from director_diffusion.specs import Schedule, SegmentTurbo, StepCount
from director_diffusion.training.curve import base_held_out_loss, best_checkpoint
from director_diffusion.training.data import Batch
from director_diffusion.training.finished import FinishedSteps
from director_diffusion.training.held_out import held_out_loss
from director_diffusion.training.loop import Prepared
from director_diffusion.training.stopping import Stop

Ways = Sequence[tuple[Start, Mapping[str, Tensor]]]
"""Trajectories, by what they start from."""


class School(Classroom):
    """Segments of a flow.  Raises TrainingError where the base is none."""

    def __init__(self, job: StudentJob, accelerator: Accelerator, progress: Progress, stop: Stop):
        super().__init__(job, accelerator, progress, stop)
        process, turbo = self.trainee.process, job.turbo
        if not isinstance(process, Flow) or not isinstance(turbo, SegmentTurbo):
            raise TrainingError(
                f"recipe {job.recipe.slug}", "asks for segments of a flow", "Choose another kind of `turbo`."
            )
        self._flow, self._turbo = process, turbo
        self._learned_from = self._starts(self._learned, range(turbo.trajectories))
        self._judged_from = self._starts(self._judging, [turbo.trajectories])

    def judged_on(self, count: StepCount) -> list[Batch]:
        """What a student's held-out loss is measured on at first: its teacher's ways."""
        return self._batches(self._segments(self._judged_ways, count))

    def teach(self, count: StepCount) -> Taught:
        """Train the student of `count` steps, as far as it is not trained yet."""
        turbo = self._turbo
        segments, judging = (self._segments(ways, count) for ways in (self._learned_ways, self._judged_ways))
        lesson = self._lesson(count, turbo.steps, turbo.schedule, after="")
        finished, seconds = self._taught(lesson, segments, judging, self._untaught)
        curve = finished.curve()
        step, loss = best_checkpoint(curve)
        chosen, training = finished.load(step), lesson.identity.short
        if turbo.visited_steps and count > 1:  # a single step begins where all begin
            of = f"{training}, step {step}"
            segments += self._visited(self._learned_from, count, chosen.weights, of)
            judging += self._visited(self._judged_from, count, chosen.weights, of)
            warmup = min(turbo.schedule.warmup_steps, turbo.visited_steps - 1)  # the optimizer begins anew
            schedule = turbo.schedule.model_copy(update={"warmup_steps": warmup})
            lesson = self._lesson(count, turbo.visited_steps, schedule, after=of)
            finished, further_seconds = self._taught(lesson, segments, judging, chosen.weights)
            seconds = None if seconds is None or further_seconds is None else seconds + further_seconds
            begun, later = base_held_out_loss(finished.curve()), curve[-1].step
            further, reached = best_checkpoint(finished.curve())
            if reached < begun:
                chosen, training, step = finished.load(further), lesson.identity.short, later + further
            loss = min(begun, reached)
            curve = (*curve, *(replace(one, step=later + one.step) for one in finished.curve()[1:]))
        set_adapter_weights(self.trainee.denoiser, self._untaught)
        return Taught(
            count=count,
            training=training,
            step=step,
            finished=chosen,
            held_out_loss=loss,
            untaught_loss=held_out_loss(self.trainee, self._batches(judging)),
            curve=curve,
            training_seconds=seconds,
        )

    def _lesson(self, count: StepCount, steps: int, schedule: Schedule, *, after: str) -> Lesson:
        """`after` names the training and step that it goes on from, or is ""."""
        starts = [start.item for start in (*self._learned_from, *self._judged_from)]
        return lesson_of(self._job, steps, schedule, {"students' steps": count, "starts": starts, "after": after})

    def _taught(
        self,
        lesson: Lesson,
        segments: Sequence[Segment],
        judging: Sequence[Segment],
        begun: Mapping[str, Tensor],
    ) -> tuple[FinishedSteps, float | None]:
        """The finished steps of a course, which begins with the weights `begun`, and its seconds: see `_trained`."""
        recipe, scale = lesson.recipe, self.trainee.scale
        batches = SegmentBatches(segments, scale, steps=recipe.steps, batch_size=recipe.batch_size, seed=recipe.seed)
        return self._trained(lesson, Prepared(self.trainee, self.targets, batches, self._batches(judging), None), begun)

    def _batches(self, segments: Sequence[Segment]) -> list[Batch]:
        return in_batches(segments, self._turbo.batch_size, self.trainee.scale)

    @cached_property
    def _learned_ways(self) -> Ways:
        return self._ways(self._learned_from)

    @cached_property
    def _judged_ways(self) -> Ways:
        return self._ways(self._judged_from)

    def _ways(self, starts: Sequence[Start]) -> Ways:
        """The teacher's, of which every student has its segments.

        They stay in memory, as even the fewest segments would keep them there, whose states are parts of theirs.
        """
        make = trajectories(self._guide, lambda: self._worn(None), self._flow, steps=self._turbo.teacher_steps)
        return list(zip(starts, self._complete(starts, self._job.cache("trajectories"), make, "ways"), strict=True))

    def _segments(self, ways: Ways, count: int) -> list[Segment]:
        """Those of a student of `count` steps."""
        return [segment for start, found in ways for segment in of_trajectory(start, found, count)]

    def _visited(
        self, starts: Sequence[Start], count: StepCount, weights: Mapping[str, Tensor], of: str
    ) -> list[Segment]:
        """Segments that begin where the student with these weights comes to."""
        make = visits(
            self._guide,
            lambda: self._worn(weights),
            lambda: self._worn(None),
            self._flow,
            steps=self._turbo.teacher_steps,
            count=count,
        )
        found = self._complete(starts, self._job.cache("visits", student=of, count=count), make, "student's ways")
        return [
            segment
            for start, one in zip(starts, found, strict=True)
            for segment in of_visit(start, one, self._flow.grid(count, start.cells))
        ]
