"""Teacher: a base with its adapter, under guidance, going down the noise in many steps.

Belongs here: its velocity, and Euler's steps along it, as diffusers' FlowMatchEulerDiscreteScheduler takes them.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from director_diffusion.families.base import Conditions, Family
from director_diffusion.training.stopping import Stop, Stopped, never


class FollowingStopped(Stopped):
    """A way down the noise was left because somebody asked; those that are whole are kept."""

    def __init__(self) -> None:
        super().__init__("stopped while trajectories were followed: it goes on with those that are missing")


@dataclass(frozen=True)
class Guide:
    """How a base is asked what it predicts: with embedded guidance, or classifier-free (Ho and Salimans 2022)."""

    family: Family
    guidance: float
    classifier_free: bool
    empty: Conditions  # of the empty prompt, no batch dimension; classifier-free guidance goes away from it
    stop: Stop = never

    @property
    def student(self) -> "Guide":
        """As a student is asked: what guidance did it has learned."""
        return replace(self, classifier_free=False)

    @torch.no_grad()
    def predict(self, denoiser: nn.Module, x: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """(B, C, h, w), float32, at states x of that shape and times t (B,): of a flow its sigmas."""
        if not self.classifier_free or self.guidance == 1:
            return self.family.predict(denoiser, x, t, conditions, self.guidance)
        against = {name: empty.to(x.device).expand_as(conditions[name]) for name, empty in self.empty.items()}
        both = {name: torch.cat([given, against.get(name, given)]) for name, given in conditions.items()}
        asked = self.family.predict(denoiser, torch.cat([x, x]), torch.cat([t, t]), both, self.guidance)
        towards, from_ = asked.chunk(2)
        return from_ + self.guidance * (towards - from_)

    def follow(self, denoiser: nn.Module, x: Tensor, sigmas: Sequence[float], conditions: Conditions) -> list[Tensor]:
        """States at all of `sigmas` by Euler's steps, x (B, C, h, w) at the first of them among these.

        Raises FollowingStopped where `stop` asked for it between two steps.
        """
        states = [x]
        for a, b in itertools.pairwise(sigmas):
            if self.stop():
                raise FollowingStopped
            t = torch.full((len(x),), a, device=x.device)
            states.append(states[-1] + (b - a) * self.predict(denoiser, states[-1], t, conditions))
        return states


def batched(conditions: Sequence[Mapping[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
    """Several prompts' embeddings as one batch on a device."""
    return {name: torch.stack([one[name] for one in conditions]).to(device) for name in conditions[0]}
