"""Training an adapter: from a job to the files that a stage keeps.

Belongs here: training what is not trained yet, choosing the step, and writing the adapter.  The steps themselves are
`loop`'s.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from PIL import Image

from director_diffusion.adapters.files import save_adapter, scaled_weights
from director_diffusion.adapters.injection import adapter_parameters, adapter_weights, set_adapter_weights
from director_diffusion.progress import Progress
from director_diffusion.stills.learned import write_learned
from director_diffusion.tables import write_table
from director_diffusion.training.acceleration import accelerated
from director_diffusion.training.checkpoint import Checkpoints
from director_diffusion.training.choice import Choice, by_folds, by_held_out_loss, by_person
from director_diffusion.training.curve import base_held_out_loss, held_out_at
from director_diffusion.training.finished import FinishedSteps
from director_diffusion.training.header import FOLDS, HELD_OUT_LOSS, header_of_choice
from director_diffusion.training.identity import tell
from director_diffusion.training.job import TrainingJob
from director_diffusion.training.loop import Prepared, Spent, is_trained, prepare, train_steps
from director_diffusion.training.memory import explain_out_of_memory
from director_diffusion.training.picks import note_training
from director_diffusion.training.reload import measure_reload, predict_as_served
from director_diffusion.training.rows import CURVE_FILE, RESULT_FILE, WEIGHTS, CurvePoint, Pick, Reload, TrainingResult
from director_diffusion.training.stopping import Stop, TrainingStopped, never
from director_diffusion.training.workers import train_in_workers


@dataclass(frozen=True)
class Trained:
    """What `train_adapter` gives: the result, and pictures of it where the job asks for previews."""

    result: TrainingResult
    pictures: Mapping[str, Image.Image]
    references: tuple[str, ...]  # the store's names of the finished steps


def train_adapter(
    job: TrainingJob,
    *,
    out: Path,
    metadata: Mapping[str, str],
    progress: Progress,
    pick: Pick | None = None,
    stop: Stop = never,
) -> Trained:
    """Train an adapter; writes its weights, `curve.parquet`, `learned.json` and `training.json` to `out`.

    Called again after a kill with an equal job, it goes on from the newest checkpoint and ends in the same bytes (on a
    CPU, of the same machine, versions and threads). Finished steps are never trained again. The averaged weights of the
    step that a person picked, else of that with the least held-out loss (or by the job's folds), become the adapter;
    `metadata` goes into its header. Raises TrainingError for lacking stills, a loss that is not finite or explodes, or
    memory that ran out; TrainingStopped where `stop` asked for it.
    """
    started = time.perf_counter()
    identity = job.identity
    finished = FinishedSteps(job.store, identity.short)
    if job.pickable:
        note_training(job.store, job.recipe.slug, job.director, identity.short)
    for folder, differing in Checkpoints(job.work, identity, job.store).of_others().items():
        progress.note(f"The unfinished training {folder} is not continued: {tell(differing)}.")
    wanting = _is_wanting(job, finished, pick)
    spent = Spent(training=0.0, previews=0.0, resumed_from=max(finished.steps(), default=0))
    if wanting and job.processes > 1:
        spent, wanting = train_in_workers(job, progress, stop), False
    with accelerated(job.recipe, job.device) as accelerator, explain_out_of_memory(job.recipe):
        prepared = prepare(job, accelerator)
        if wanting:
            spent = train_steps(job, prepared, progress, stop)
        return _finish(job, prepared, finished, spent, pick, stop, out=out, metadata=metadata, started=started)


def _is_wanting(job: TrainingJob, finished: FinishedSteps, pick: Pick | None) -> bool:
    """Whether steps are to be trained, or trained anew since what could be chosen is gone."""
    steps = finished.steps()
    if pick is not None and isinstance(by_person(pick, job.identity.short, steps), Choice):
        return False
    return not is_trained(job, finished)


def _finish(
    job: TrainingJob,
    prepared: Prepared,
    finished: FinishedSteps,
    spent: Spent,
    pick: Pick | None,
    stop: Stop,
    *,
    out: Path,
    metadata: Mapping[str, str],
    started: float,
) -> Trained:
    """Choose the step, write its adapter and check the file."""
    recipe, steps, curve = job.recipe, finished.steps(), finished.curve()
    choice, unused = _chosen(job, finished, pick)
    pictures = _pictures(job, prepared, finished, stop)
    drawing = 0.0
    if prepared.previews is not None:
        drawing = prepared.previews.seconds + (spent.previews if job.processes > 1 else 0.0)  # others drew some
    trainable = sum(parameter.numel() for parameter in adapter_parameters(prepared.trainee.denoiser).values())
    reload = _write(job, prepared, finished, choice, out / WEIGHTS, metadata)
    result = TrainingResult(
        training=job.identity.short,
        steps=recipe.steps,
        trained_steps=steps[-1],
        chosen_step=choice.step,
        chosen_by=choice.by,
        strength=choice.strength,
        held_out_loss=held_out_at(curve, choice.step),
        base_held_out_loss=base_held_out_loss(curve),
        trainable_parameters=trainable,
        adapted_linears=len(prepared.targets),
        train_stills=sum(row.split == "train" for row in job.latents),
        held_out_stills=sum(row.split == "validation" for row in job.latents),
        watched_stills=len(job.watched),
        curve=curve,
        reload=reload,
        pick_unused=unused,
        resumed_from=spent.resumed_from,
        seconds=time.perf_counter() - started,
        training_seconds=spent.training,
        preview_seconds=drawing,
    )
    write_table(out / CURVE_FILE, CurvePoint, curve)
    write_learned(out, job.learned_by_name)
    (out / RESULT_FILE).write_text(json.dumps(_lasting(result), indent=1) + "\n", encoding="utf-8")
    if result.trained_steps == recipe.steps:
        Checkpoints(job.work, job.identity, job.store).clear()
    return Trained(result, pictures, tuple(finished.name(step) for step in steps))


def _chosen(job: TrainingJob, finished: FinishedSteps, pick: Pick | None) -> tuple[Choice, str]:
    """The person's choice, or the one in its stead and why the person's is not used ("" where there is none)."""
    steps, unused = finished.steps(), ""
    if pick is not None:
        instead = HELD_OUT_LOSS if job.folds is None else FOLDS
        picked = by_person(pick, job.identity.short, steps, instead=instead)
        if isinstance(picked, Choice):
            return picked, ""
        unused = picked
    choice = by_held_out_loss(finished.curve()) if job.folds is None else by_folds(job.folds.steps, steps)
    return choice, unused


def _pictures(job: TrainingJob, prepared: Prepared, finished: FinishedSteps, stop: Stop) -> dict[str, Image.Image]:
    """The sheet of previews and the grid of strengths, of which what is missing is drawn."""
    previews, steps = prepared.previews, finished.steps()
    if previews is None:
        return {}

    def wear(step: int, strength: float) -> None:
        if stop():
            raise TrainingStopped(steps[-1], job.recipe.steps)
        weights = scaled_weights(finished.load(step).weights, strength)
        set_adapter_weights(prepared.trainee.denoiser, weights)

    previews.draw_all(prepared.trainee, steps, wear)
    return {"previews": previews.sheet(), "strengths": previews.strengths(steps)}


def _write(
    job: TrainingJob,
    prepared: Prepared,
    finished: FinishedSteps,
    choice: Choice,
    path: Path,
    metadata: Mapping[str, str],
) -> Reload:
    """The chosen step's adapter, in its file, and how that file does."""
    chosen, trainee = finished.load(choice.step), prepared.trainee
    set_adapter_weights(trainee.denoiser, scaled_weights(chosen.weights, choice.strength))
    save_adapter(
        path,
        adapter_weights(trainee.denoiser),
        job.recipe.adapter,
        prepared.targets,
        role=trainee.family.role,
        metadata={**metadata, "packages": json.dumps(chosen.packages, sort_keys=True), **header_of_choice(choice)},
    )
    prediction = predict_as_served(trainee, prepared.judged_on[0], job.recipe)
    return measure_reload(trainee, prepared.judged_on[0], path, prediction)


def _lasting(result: TrainingResult) -> dict[str, int | float | str]:
    """What holds whenever and however often the training was run: no times, and no comparison of predictions."""
    passing = {"curve", "reload", "resumed_from", "pick_unused", "seconds", "training_seconds", "preview_seconds"}
    if not result.watched_stills:
        passing.add("watched_stills")
    return {field.name: getattr(result, field.name) for field in fields(result) if field.name not in passing}
