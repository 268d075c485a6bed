"""Judge adapters: the held-out loss of each, loaded from its file into the same base.  A process of its own.

    python -m benchmarks.peers.judge TASK_FILE WORK ADAPTER…

Prints a JSON list: the bare base's loss, then each adapter's.  Stills, noises and noise levels are the same for all.
"""

import json
import sys
from pathlib import Path

from benchmarks.peers.ours import base_of, encode, recipe_of
from benchmarks.peers.task import Task
from director_diffusion.adapters.files import load_adapter, remove_adapter
from director_diffusion.specs import HeldOut
from director_diffusion.training.acceleration import accelerated
from director_diffusion.training.data import load_dataset
from director_diffusion.training.held_out import held_out_batches, held_out_loss
from director_diffusion.training.trainee import load_trainee

NOISES, BATCH = 4, 16


def main(path: Path, work: Path, adapters: list[Path]) -> None:
    task = Task.read(path)
    base, recipe = base_of(task), recipe_of(task, seed=0)
    store, latents, prompts = encode(task, base, work)
    with accelerated(recipe, task.device) as accelerator:
        trainee = load_trainee(base, recipe, Path(task.model), accelerator)
        data = load_dataset(latents, prompts, store, trainee.family)
        batches = held_out_batches(data.held_out, HeldOut(noises=NOISES), trainee.process, BATCH)
        losses = [held_out_loss(trainee, batches)]
        for adapter in adapters:
            load_adapter(trainee.denoiser, adapter)
            losses.append(held_out_loss(trainee, batches))
            remove_adapter(trainee.denoiser)
    print(json.dumps(losses))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
