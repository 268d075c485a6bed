"""State: everything that changes while an adapter is trained.

Belongs here: the optimizer's step, and the conversion of it all to a checkpoint and back.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from director_diffusion.adapters.injection import adapter_parameters
from director_diffusion.progress import Progress
from director_diffusion.specs import Recipe
from director_diffusion.training.acceleration import sum_over_processes
from director_diffusion.training.checkpoint import Checkpoint
from director_diffusion.training.curve import Curve
from director_diffusion.training.data import Batch, generator
from director_diffusion.training.ema import averaged, moving_average
from director_diffusion.training.optimizers import build_optimizer, restore_state, state_tensors
from director_diffusion.training.schedule import learning_rate
from director_diffusion.training.trainee import Trainee


class TrainingState:
    """A trainee with its optimizer, average and curve, after `step` optimizer steps."""

    def __init__(self, trainee: Trainee, recipe: Recipe, progress: Progress, *, watched: bool = False):
        self.trainee, self.step = trainee, 0
        self.curve = Curve(progress, watched=watched)
        self._recipe = recipe
        self._named = adapter_parameters(trainee.denoiser)
        self.parameters: list[nn.Parameter] = list(self._named.values())
        self._optimizer = build_optimizer(self.parameters, recipe.optimizer)
        self.average: EMAModel = moving_average(self.parameters, recipe.ema_decay)

    def learn(self, batches: Sequence[Batch], stills: Sequence[str]) -> None:
        """One optimizer step on the gradient of the shares' sum of `batches`' mean losses, over all processes.

        `stills` are named where the loss breaks: those of all processes' batches.
        """
        accelerator, recipe = self.trainee.accelerator, self._recipe
        lr = learning_rate(self.step, recipe.schedule, steps=recipe.steps, peak=recipe.optimizer.lr)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        if not self.trainee.denoiser.training:  # going through a thousand modules takes a while
            self.trainee.denoiser.train()
        total, trivial = torch.zeros(2, device=accelerator.device)
        for shared in batches:
            batch = shared.to(accelerator.device)
            # The adapter's own dropout: of the step and the batch, whichever process has it.  (Where processes have
            # rows of one batch, their masks are others than a single process's.)
            torch.manual_seed(generator("dropout", recipe.seed, self.step, *batch.stills).initial_seed())
            loss = self.trainee.step_losses(batch, self.as_average).mean() * batch.share
            accelerator.backward(loss)
            total += loss.detach()
            trivial += self.trainee.trivial_losses(batch).mean() * batch.share
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        sum_over_processes([*gradients, total, trivial], accelerator)
        grad_norm = accelerator.clip_grad_norm_(self.parameters, recipe.optimizer.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.average.step(self.parameters)
        self.step += 1
        self.curve.add(self.step, lr=lr, loss=total, trivial=trivial, grad_norm=grad_norm, stills=stills)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            step=self.step,
            tensors={
                "adapter": self._named,
                "average": self.averaged_weights(),
                "optimizer": state_tensors(self._optimizer),
            },
            curve=self.curve.points,
        )

    def as_average(self) -> AbstractContextManager[None]:
        """The adapter holds its average inside."""
        return averaged(self.average, self.parameters)

    def averaged_weights(self) -> dict[str, Tensor]:
        """The average, by parameter name."""
        return dict(zip(self._named, self.average.shadow_params, strict=True))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Be what was saved."""
        self.step = checkpoint.step
        self.curve.resume(checkpoint.curve)
        self.load_weights(checkpoint.tensors["adapter"])
        average = checkpoint.tensors["average"]
        for shadow, name in zip(self.average.shadow_params, self._named, strict=True):
            shadow.copy_(average[name])
        self.average.optimization_step = checkpoint.step
        restore_state(self._optimizer, checkpoint.tensors["optimizer"])

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Put these weights, by parameter name, into the adapter."""
        for name, parameter in self._named.items():
            parameter.copy_(weights[name])
