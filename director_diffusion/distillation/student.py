"""Student: from a job to the files of few-step adapters.

Belongs here: the order of things, and writing what came of it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from director_diffusion.adapters.files import remove_adapter, save_adapter
from director_diffusion.adapters.injection import adapter_weights, set_adapter_weights
from director_diffusion.distillation.classroom import Taught
from director_diffusion.distillation.consistency_school import ConsistencySchool
from director_diffusion.distillation.job import StudentJob
from director_diffusion.distillation.rows import CURVE_FILE, RESULT_FILE, Lap, Student, weights_file
from director_diffusion.distillation.school import School
from director_diffusion.progress import Progress
from director_diffusion.specs import ConsistencyTurbo
from director_diffusion.tables import write_table
from director_diffusion.training.acceleration import accelerated
from director_diffusion.training.memory import explain_out_of_memory
from director_diffusion.training.reload import measure_worn, predict_as_served
from director_diffusion.training.stopping import Stop, never


def distil(
    job: StudentJob, *, out: Path, metadata: Mapping[str, str], progress: Progress, stop: Stop = never
) -> list[Student]:
    """Train the students that the recipe asks for; writes each one's weights, the curves and `students.json` to `out`.

    Called again after a kill with an equal job, it goes on: what was followed of trajectories is read, finished courses
    are not repeated, an unfinished one continues from its checkpoint, and it ends in the same bytes.  `metadata` goes
    into every header.  Raises TrainingError for lacking prompts, a loss that is not finite or explodes, or memory that
    ran out; Stopped where `stop` asked for it.
    """
    recipe = job.recipe_of(job.turbo.steps, job.turbo.schedule)
    with accelerated(recipe, job.device) as accelerator, explain_out_of_memory(recipe):
        kind = ConsistencySchool if isinstance(job.turbo, ConsistencyTurbo) else School
        school = kind(job, accelerator, progress, stop)
        taught = [school.teach(count) for count in job.turbo.step_counts]
        for one in taught:
            _write(job, school, one, out / weights_file(one.count), metadata)
        asked = {one.count: school.judged_on(one.count)[0] for one in taught}
        predicted = {}
        for one in taught:
            set_adapter_weights(school.trainee.denoiser, one.finished.weights)
            predicted[one.count] = predict_as_served(school.trainee, asked[one.count], recipe)
        bare = school.trainee
        remove_adapter(bare.denoiser)
        students = [
            Student(
                count=one.count,
                training=one.training,
                chosen_step=one.step,
                held_out_loss=one.held_out_loss,
                untaught_loss=one.untaught_loss,
                reload=measure_worn(
                    bare, asked[one.count], job.adapter, out / weights_file(one.count), predicted[one.count]
                ),
                curve=one.curve,
                training_seconds=one.training_seconds,
            )
            for one in taught
        ]
    write_table(out / CURVE_FILE, Lap, [Lap.of(one.count, point) for one in taught for point in one.curve])
    passing = ("training_seconds", "curve", "reload")  # differ from run to run, or stand elsewhere
    lasting = [{name: value for name, value in asdict(one).items() if name not in passing} for one in students]
    (out / RESULT_FILE).write_text(json.dumps(lasting, indent=1) + "\n", encoding="utf-8")
    return students


def _write(
    job: StudentJob, school: School | ConsistencySchool, taught: Taught, path: Path, metadata: Mapping[str, str]
) -> None:
    denoiser = school.trainee.denoiser
    set_adapter_weights(denoiser, taught.finished.weights)
    save_adapter(
        path,
        adapter_weights(denoiser),
        job.turbo.adapter,
        school.targets,
        role=school.trainee.family.role,
        metadata={
            **metadata,
            "sampling_steps": str(taught.count),
            "step": str(taught.step),
            "training": taught.training,
            "packages": json.dumps(taught.finished.packages, sort_keys=True),
        },
    )
