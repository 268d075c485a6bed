"""The loop: from cached latents and prompt embeddings to an adapter's file.

Belongs here: the order of things.  It knows neither family nor kind of adapter; each part is a module beside this one.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import torch

from director_diffusion.hashing import hash_data, short
from director_diffusion.latents.rows import LatentRow
from director_diffusion.progress import Progress
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, Recipe
from director_diffusion.storage.store import Store
from director_diffusion.tables import write_table
from director_diffusion.training.acceleration import accelerated
from director_diffusion.training.adapter import adapter_weights, inject_adapter
from director_diffusion.training.checkpoint import Checkpoints
from director_diffusion.training.curve import base_held_out_loss, best_checkpoint
from director_diffusion.training.data import Batch, TrainingBatches, generator, load_dataset
from director_diffusion.training.ema import averaged
from director_diffusion.training.held_out import held_out_batches, held_out_loss
from director_diffusion.training.reload import measure_reload, predict_as_served
from director_diffusion.training.rows import WEIGHTS, CurvePoint, TrainingResult
from director_diffusion.training.state import TrainingState
from director_diffusion.training.trainee import load_trainee

TRAINING_VERSION = "1"  # of what a checkpoint holds and of what a step does; a change starts trainings anew


def train_adapter(
    latents: Sequence[LatentRow],
    prompts: Sequence[PromptRow],
    base: Base,
    recipe: Recipe,
    folder: Path,
    *,
    store: Store,
    work: Path,
    out: Path,
    device: str,
    metadata: Mapping[str, str],
    progress: Progress,
) -> TrainingResult:
    """Train an adapter of the base in `folder`; writes its weights, `curve.parquet` and `training.json` to `out`.

    Checkpoints lie in `work`: called again with the same arguments after a kill, it goes on from the newest and ends in
    the same bytes (on a CPU). The averaged weights of the checkpoint with the least held-out loss become the adapter;
    `metadata` goes into its header. Raises TrainingError for lacking stills or a loss that is not finite.
    """
    started = time.perf_counter()
    data = load_dataset(latents, prompts, store)
    judged_on = held_out_batches(data.held_out, recipe.held_out, recipe.batch_size)
    checkpoints = Checkpoints(work / "checkpoints", _identity(latents, prompts, base, recipe))
    with accelerated(recipe, device) as accelerator:
        trainee = load_trainee(base, recipe, folder, accelerator)
        targets = trainee.family.target_modules(trainee.denoiser, recipe.adapter.targets)
        torch.manual_seed(generator("initial weights", recipe.seed).initial_seed())
        config = inject_adapter(trainee.denoiser, recipe.adapter, targets)
        state = TrainingState(trainee, recipe, progress)
        if (found := checkpoints.newest()) is not None:
            state.restore(found)
        resumed_from = state.step
        batches = TrainingBatches(data, recipe, trainee.resolution_shift)
        _run(state, batches, judged_on, recipe, checkpoints, progress)

        chosen_step, chosen_loss = best_checkpoint(state.curve.points)
        state.load_weights(checkpoints.load(chosen_step).tensors["average"])
        weights = adapter_weights(trainee.denoiser)
        trainee.family.save_adapter(out / WEIGHTS, weights, peft_config=config, metadata=metadata)
        prediction = predict_as_served(trainee, judged_on[0], recipe)
        curve, trainable = state.curve.points, sum(parameter.numel() for parameter in state.parameters)
        del trainee, state, weights, batches  # a large base is not held twice
        accelerator.free_memory()
        fresh = load_trainee(base, recipe, folder, accelerator)
        reload = measure_reload(fresh, judged_on[0], out / WEIGHTS, prediction)

    result = TrainingResult(
        steps=recipe.steps,
        chosen_step=chosen_step,
        held_out_loss=chosen_loss,
        base_held_out_loss=base_held_out_loss(curve),
        trainable_parameters=trainable,
        adapted_linears=len(targets),
        train_stills=len(data.train),
        held_out_stills=len(data.held_out),
        curve=curve,
        reload=reload,
        resumed_from=resumed_from,
        seconds=time.perf_counter() - started,
    )
    write_table(out / "curve.parquet", CurvePoint, curve)
    (out / "training.json").write_text(json.dumps(_lasting(result), indent=1) + "\n", encoding="utf-8")
    return result


def _lasting(result: TrainingResult) -> dict[str, int | float]:
    """What holds whenever and however often the training was run: no times, and no comparison of predictions."""
    passing = {"curve", "reload", "resumed_from", "seconds"}
    return {field.name: getattr(result, field.name) for field in fields(result) if field.name not in passing}


def _run(
    state: TrainingState,
    batches: TrainingBatches,
    judged_on: Sequence[Batch],
    recipe: Recipe,
    checkpoints: Checkpoints,
    progress: Progress,
) -> None:
    """Train to the recipe's last step, judging the averaged weights at every checkpoint."""
    with progress.task("training", total=recipe.steps) as task:
        if state.step == 0:
            state.curve.add_held_out(0, held_out_loss(state.trainee, judged_on))
        task.advance(state.step)
        while state.step < recipe.steps:
            state.learn(batches.of_step(state.step))
            if state.step % recipe.checkpoint_every == 0 or state.step == recipe.steps:
                state.curve.read()
                with averaged(state.average, state.parameters):
                    loss = held_out_loss(state.trainee, judged_on)
                state.curve.add_held_out(state.step, loss)
                checkpoints.save(state.checkpoint())
            task.advance()


def _identity(latents: Sequence[LatentRow], prompts: Sequence[PromptRow], base: Base, recipe: Recipe) -> str:
    """Hash of all that a training's weights depend on; the items' names hold the base's fingerprint."""
    return short(
        hash_data(
            {
                "version": TRAINING_VERSION,
                "base": base,
                "recipe": recipe,
                "latents": [(row.still, row.split, row.reference) for row in latents],
                "prompts": [(row.still, row.reference) for row in prompts],
            }
        )
    )
