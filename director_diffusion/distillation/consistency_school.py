"""Consistency school: one consistent student, who draws in any number of steps.

Belongs here: what it learns on (the training stills) and is judged on (its teacher's ways).  How it learns is
`consistent`'s, what is shared with other kinds of students `classroom`'s.
"""

from dataclasses import replace
from functools import cached_property

from accelerate import Accelerator

from director_diffusion.distillation.classroom import Classroom, Taught
from director_diffusion.distillation.consistency import solver_of
from director_diffusion.distillation.consistent import ConsistentTrainee, judged_on, ways
from director_diffusion.distillation.job import Lesson, StudentJob, lesson_of
from director_diffusion.distillation.visits import Start
from director_diffusion.errors import TrainingError
from director_diffusion.families.base import Placement
from director_diffusion.latents.rows import LatentRow
from director_diffusion.processes import Diffusion
from director_diffusion.progress import Progress
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import ConsistencyTurbo, StepCount
from director_diffusion.training.batches import TrainingBatches
from director_diffusion.training.curve import base_held_out_loss, best_checkpoint
from director_diffusion.training.data import Batch, load_dataset
from director_diffusion.training.loop import Prepared
from director_diffusion.training.stopping import Stop


class ConsistencySchool(Classroom):
    """Of a base that goes by timesteps.  Raises TrainingError where it does not."""

    def __init__(self, job: StudentJob, accelerator: Accelerator, progress: Progress, stop: Stop):
        super().__init__(job, accelerator, progress, stop)
        process, turbo, trainee = self.trainee.process, job.turbo, self.trainee
        if not isinstance(process, Diffusion) or not isinstance(turbo, ConsistencyTurbo):
            raise TrainingError(
                f"recipe {job.recipe.slug}",
                "asks for consistency at a diffusion's timesteps",
                "Choose another kind of `turbo`.",
            )
        self._turbo, self._solver = turbo, solver_of(process, turbo.teacher_steps)
        self.trainee = ConsistentTrainee(
            **{**vars(trainee), "process": self._solver}, solver=self._solver, guide=self._guide, huber_c=turbo.huber_c
        )
        self._judged_from = [self._of_its_size(start) for start in self._starts(self._judging, [0])]

    def judged_on(self, count: StepCount) -> list[Batch]:
        """What the held-out loss is measured on, in whichever number of steps is drawn."""
        return self._judged_on

    def teach(self, count: StepCount) -> Taught:
        """Train the student, as far as it is not trained yet: the same one for all numbers of steps."""
        return replace(self._taught, count=count)

    @cached_property
    def _judged_on(self) -> list[Batch]:
        make = ways(self._guide, lambda: self._worn(None), self._solver)
        found = self._complete(self._judged_from, self._job.cache("trajectories"), make, "ways")
        return judged_on(self._judged_from, found, self._solver, self.trainee.scale, self._turbo.batch_size)

    @cached_property
    def _taught(self) -> Taught:
        lesson, trainee = self._lesson(), self.trainee
        stills = [row.still for row in self._stills]
        data = load_dataset(self._stills, self._prompts, self._job.store, trainee.family, watched=stills)
        batches = TrainingBatches(data, lesson.recipe, self._solver)
        finished, seconds = self._trained(
            lesson, Prepared(trainee, self.targets, batches, self._judged_on, None), self._untaught
        )
        curve = finished.curve()
        step, loss = best_checkpoint(curve)
        return Taught(
            count=self._turbo.step_counts[0],
            training=lesson.identity.short,
            step=step,
            finished=finished.load(step),
            held_out_loss=loss,
            untaught_loss=base_held_out_loss(curve),
            curve=curve,
            training_seconds=seconds,
        )

    def _lesson(self) -> Lesson:
        """Its parts are named as those of any training on stills."""
        turbo, rows = self._turbo, self._stills
        return lesson_of(
            self._job,
            turbo.steps,
            turbo.schedule,
            {
                "loss": {"huber_c": turbo.huber_c},
                "latents": {row.still: row.reference for row in rows},
                "sizes": {
                    row.still: [row.original_width, row.original_height, row.crop_left, row.crop_top] for row in rows
                },
                "prompts": {row.still: row.reference for row in self._prompts},
                "judged from": [start.item for start in self._judged_from],
            },
        )

    @property
    def _stills(self) -> list[LatentRow]:
        return [row for row in self._job.latents if row.split == "train"]

    @property
    def _prompts(self) -> list[PromptRow]:
        stills = {row.still for row in self._stills}
        return [row for row in self._job.prompts if row.still in stills] + [self._job.empty_prompt]

    def _of_its_size(self, start: Start) -> Start:
        """With what the family tells its denoiser of a whole picture of this size, as pipelines do."""
        factor = self.trainee.family.latent_factor(self._job.folder)
        height, width = (side * factor for side in start.cells)
        sizes = self.trainee.family.size_conditions(Placement(width, height, width, height, 0, 0))
        return replace(start, conditions={**start.conditions, **sizes})
