"""The loop: from cached latents and prompt embeddings to trained steps.

Belongs here: the order of things while training.  It knows neither family nor kind of adapter; each part is a module
beside this one.  What becomes of the steps is `train`'s.
"""

import time
from dataclasses import dataclass

import torch
from accelerate import Accelerator

from director_diffusion.adapters.files import read_weights
from director_diffusion.adapters.injection import adapter_weights, inject_adapter, set_adapter_weights
from director_diffusion.errors import ModelError, TrainingError
from director_diffusion.packages import package_versions
from director_diffusion.progress import Progress
from director_diffusion.specs import Recipe
from director_diffusion.training.batches import Batches, Prefetched, TrainingBatches
from director_diffusion.training.checkpoint import Checkpoint, Checkpoints
from director_diffusion.training.compilation import compiled_blocks
from director_diffusion.training.curve import judged_steps
from director_diffusion.training.data import Batch, generator, load_dataset
from director_diffusion.training.finished import FinishedStep, FinishedSteps
from director_diffusion.training.held_out import held_out_batches, held_out_loss
from director_diffusion.training.job import Course, TrainingJob
from director_diffusion.training.memory import GIB, blocks_to_recompute, measure_activations, recompute
from director_diffusion.training.previews import Previews
from director_diffusion.training.state import TrainingState
from director_diffusion.training.stopping import Stop, TrainingStopped
from director_diffusion.training.trainee import Trainee, load_trainee


@dataclass(frozen=True)
class Prepared:
    """A trainee with its adapter in place, and the data it is judged on."""

    trainee: Trainee
    targets: list[str]  # names of the linears that carry the adapter
    batches: Batches  # this process's
    judged_on: list[Batch]
    previews: Previews | None  # of the process that shows them, where the job asks for some


@dataclass(frozen=True)
class Spent:
    """Where a training's time went, in seconds, and where it began."""

    training: float
    previews: float
    resumed_from: int


def prepare(job: TrainingJob, accelerator: Accelerator) -> Prepared:
    """Load the base and the data, and put a new adapter (or the one to start from) into it."""
    recipe = job.recipe
    trainee = load_trainee(job.base, recipe, job.folder, accelerator)
    data = load_dataset(
        job.latents, job.training_prompts, job.store, trainee.family, watched=job.watched, directors=job.directors
    )
    targets = trainee.family.target_modules(trainee.denoiser, recipe.adapter.targets)
    torch.manual_seed(generator("initial weights", recipe.seed).initial_seed())
    inject_adapter(trainee.denoiser, recipe.adapter, targets)
    if job.init is not None:
        _start_from(trainee, job)
    judged_on = held_out_batches(data.held_out, recipe.held_out, trainee.process, recipe.batch_size)
    previews = Previews(job) if job.previews is not None and accelerator.is_main_process else None
    if previews is not None:
        previews.draw(trainee, 0)  # nothing is learned yet, which cannot be had back later
    batches = TrainingBatches(
        data,
        recipe,
        trainee.process,
        rank=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    return Prepared(trainee, targets, batches, judged_on, previews)


def train_steps(job: Course, prepared: Prepared, progress: Progress, stop: Stop) -> Spent:
    """Train to the recipe's last step, or until `stop`: from the newest checkpoint, keeping every checkpoint's average.

    Raises TrainingStopped after saving where it was stopped, TrainingError for a loss that is not finite or explodes.
    """
    trainee, recipe, accelerator = prepared.trainee, job.recipe, prepared.trainee.accelerator
    checkpoints = Checkpoints(job.work, job.identity, job.store)
    state = TrainingState(trainee, recipe, progress, watched=bool(job.watched))
    found = checkpoints.newest()
    accelerator.wait_for_everyone()  # all have read it
    if found is not None and _is_kept(found, job):
        state.restore(found)
    elif accelerator.is_main_process:
        checkpoints.drop()  # else its last ones would outlive those of the new start
    resumed_from = state.step
    batches = prepared.batches
    fit_memory(trainee, recipe, batches)
    previews, blocks = prepared.previews, compiled_blocks(trainee.denoiser, recipe)
    started, drawn_before = time.perf_counter(), previews.seconds if previews is not None else 0.0
    if stop():
        raise TrainingStopped(state.step, recipe.steps)
    with progress.task("training", total=recipe.steps) as task:
        task.advance(state.step)
        if _is_due(state.step, recipe) and not state.curve.is_judged:  # the base itself; or it was stopped just there
            _judge(job, state, prepared, progress)
        for coming in Prefetched(batches, state.step, recipe.steps, accelerator.device):
            with blocks:
                state.learn(coming, batches.stills_of(state.step))
            due = _is_due(state.step, recipe)
            stopped = stop() and state.step < recipe.steps
            if due or stopped:
                state.curve.read()  # before anything is kept: broken weights must not be
            if due and not stopped:
                _judge(job, state, prepared, progress)
            if due or stopped:
                _save(state, checkpoints)
            if stopped:
                raise TrainingStopped(state.step, recipe.steps)
            task.advance()
    drawing = previews.seconds if previews is not None else 0.0
    return Spent(time.perf_counter() - started - (drawing - drawn_before), drawing, resumed_from)


def is_trained(job: Course, finished: FinishedSteps) -> bool:
    """Whether there is nothing left to train: the last step, and all that was judged on the way to choose of."""
    steps = finished.steps()
    return job.recipe.steps in steps and judged_steps(finished.curve()) <= set(steps)


def _is_kept(checkpoint: Checkpoint, job: Course) -> bool:
    """Whether all that was judged before a checkpoint is still in the store, where the adapter is chosen of it."""
    return judged_steps(checkpoint.curve) <= set(FinishedSteps(job.store, job.identity.short).steps())


def _is_due(step: int, recipe: Recipe) -> bool:
    """Whether what there is after `step` optimizer steps is judged and kept."""
    return step % recipe.checkpoint_every == 0 or step == recipe.steps


def _judge(job: Course, state: TrainingState, prepared: Prepared, progress: Progress) -> None:
    """Judge and draw the average, and keep it as a finished step, which it is last of all.

    A training that is being stopped leaves this to the one that goes on: stopping is to be quick.
    """
    trainee, previews = prepared.trainee, prepared.previews
    with state.as_average():
        state.curve.add_held_out(state.step, held_out_loss(trainee, prepared.judged_on, job.directors))
        if previews is not None:
            previews.draw(trainee, state.step)
            progress.show(state.step, "previews", previews.sheet())
        if state.step and trainee.accelerator.is_main_process:
            finished = FinishedStep(adapter_weights(trainee.denoiser), state.curve.points, package_versions())
            FinishedSteps(job.store, job.identity.short).save(state.step, finished)


def _save(state: TrainingState, checkpoints: Checkpoints) -> None:
    """A checkpoint, written by one process while the others wait."""
    accelerator = state.trainee.accelerator
    if accelerator.is_main_process:
        checkpoints.save(state.checkpoint())
    accelerator.wait_for_everyone()


def _start_from(trainee: Trainee, job: TrainingJob) -> None:
    """Put the weights of `job.init` into the adapter.  Raises TrainingError unless they are the very same shapes."""
    assert job.init is not None
    try:
        set_adapter_weights(trainee.denoiser, read_weights(job.init))
    except ModelError as error:
        raise TrainingError(
            f"recipe {job.recipe.slug}",
            f"cannot start from the adapter of {job.recipe.init_from}: its {error.thing} {error.problem}",
            "Give both recipes the same `adapter`, or leave `init_from` out.",
        ) from error


def fit_memory(trainee: Trainee, recipe: Recipe, batches: Batches) -> int:
    """Let as many blocks be computed again as the recipe's budget asks, and say how many."""
    if recipe.activation_gib is None:
        return 0
    batch = batches.largest()
    found = measure_activations(trainee.denoiser, lambda: trainee.losses(batch))
    blocks = blocks_to_recompute(found, int(recipe.activation_gib * GIB))
    recompute(trainee.denoiser, blocks)
    return len(blocks)
