"""State: everything that changes while an adapter is trained.

Belongs here: the optimizer's step, and the conversion of it all to a checkpoint and back.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from director_diffusion.progress import Progress
from director_diffusion.specs import AdamW, Recipe
from director_diffusion.training.adapter import adapter_parameters
from director_diffusion.training.checkpoint import Checkpoint
from director_diffusion.training.curve import Curve
from director_diffusion.training.data import Batch, generator
from director_diffusion.training.ema import moving_average
from director_diffusion.training.schedule import learning_rate
from director_diffusion.training.trainee import Trainee


class TrainingState:
    """A trainee with its optimizer, average and curve, after `step` optimizer steps."""

    def __init__(self, trainee: Trainee, recipe: Recipe, progress: Progress):
        self.trainee, self.step = trainee, 0
        self.curve = Curve(progress)
        self._recipe, self._progress = recipe, progress
        self._named = adapter_parameters(trainee.denoiser)
        self.parameters: list[nn.Parameter] = list(self._named.values())
        self._optimizer = build_optimizer(self.parameters, recipe.optimizer)
        self.average: EMAModel = moving_average(self.parameters, recipe.ema_decay)

    def learn(self, batches: Iterable[Batch]) -> None:
        """One optimizer step on the mean gradient of `batches`."""
        accelerator, recipe = self.trainee.accelerator, self._recipe
        lr = learning_rate(self.step, recipe.schedule, steps=recipe.steps, peak=recipe.optimizer.lr)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self.trainee.denoiser.train()
        torch.manual_seed(generator("dropout", recipe.seed, self.step).initial_seed())  # of the adapter's own layers
        losses: list[Tensor] = []
        stills: list[str] = []
        for batch in batches:
            with accelerator.accumulate(self.trainee.denoiser):
                loss = self.trainee.losses(batch).mean()
                accelerator.backward(loss)
            losses.append(loss)
            stills += batch.stills
        grad_norm = accelerator.clip_grad_norm_(self.parameters, recipe.optimizer.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.average.step(self.parameters)
        self.step += 1
        self.curve.add(self.step, lr=lr, losses=losses, grad_norm=grad_norm, stills=stills)

    def checkpoint(self) -> Checkpoint:
        moments = self._optimizer.state_dict()["state"]
        return Checkpoint(
            step=self.step,
            tensors={
                "adapter": self._named,
                "average": dict(zip(self._named, self.average.shadow_params, strict=True)),
                "optimizer": {f"{i}.{key}": value for i, part in moments.items() for key, value in part.items()},
            },
            curve=self.curve.points,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Be what was saved."""
        self.step = checkpoint.step
        self.curve = Curve(self._progress, checkpoint.curve)
        self.load_weights(checkpoint.tensors["adapter"])
        average = checkpoint.tensors["average"]
        for shadow, name in zip(self.average.shadow_params, self._named, strict=True):
            shadow.copy_(average[name])
        self.average.optimization_step = checkpoint.step
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in checkpoint.tensors["optimizer"].items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Put these weights, by parameter name, into the adapter."""
        for name, parameter in self._named.items():
            parameter.copy_(weights[name])


def build_optimizer(parameters: Sequence[nn.Parameter], spec: AdamW) -> torch.optim.Optimizer:
    """The optimizer of a recipe; its learning rate is set at every step."""
    return torch.optim.AdamW(
        parameters, lr=spec.lr, betas=(spec.beta1, spec.beta2), weight_decay=spec.weight_decay, fused=True
    )
