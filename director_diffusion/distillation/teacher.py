"""Teacher: a base with its adapter, under guidance, going down the noise in many steps.

Belongs here: its velocity, and Euler's steps along it, as diffusers' FlowMatchEulerDiscreteScheduler takes them.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from director_diffusion.adapters.files import AdapterFile
from director_diffusion.adapters.injection import linears
from director_diffusion.adapters.merging import base_weights, delta
from director_diffusion.families.base import Conditions, Family


@dataclass(frozen=True)
class Guide:
    """How a flow is asked for its velocity: with embedded guidance, or classifier-free (Ho and Salimans 2022)."""

    family: Family
    guidance: float
    classifier_free: bool
    empty: Conditions  # of the empty prompt, no batch dimension; classifier-free guidance goes away from it

    @property
    def student(self) -> "Guide":
        """As a student is asked: what guidance did it has learned."""
        return replace(self, classifier_free=False)

    @torch.no_grad()
    def velocity(self, denoiser: nn.Module, x: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """(B, C, h, w), float32, at states x of that shape and sigmas t (B,)."""
        if not self.classifier_free or self.guidance == 1:
            return self.family.predict(denoiser, x, t, conditions, self.guidance)
        against = {name: self.empty[name].to(x.device).expand_as(given) for name, given in conditions.items()}
        both = {name: torch.cat([given, against[name]]) for name, given in conditions.items()}
        asked = self.family.predict(denoiser, torch.cat([x, x]), torch.cat([t, t]), both, self.guidance)
        towards, from_ = asked.chunk(2)
        return from_ + self.guidance * (towards - from_)

    def follow(self, denoiser: nn.Module, x: Tensor, sigmas: Sequence[float], conditions: Conditions) -> list[Tensor]:
        """States at all of `sigmas` by Euler's steps, x (B, C, h, w) at the first of them among these."""
        states = [x]
        for a, b in itertools.pairwise(sigmas):
            t = torch.full((len(x),), a, device=x.device)
            states.append(states[-1] + (b - a) * self.velocity(denoiser, states[-1], t, conditions))
        return states


def batched(conditions: Sequence[Mapping[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
    """Several prompts' embeddings as one batch on a device."""
    return {name: torch.stack([one[name] for one in conditions]).to(device) for name in conditions[0]}


@torch.no_grad()
def merge(denoiser: nn.Module, adapter: AdapterFile) -> None:
    """Put an adapter into the base's own weights, in place.  Raises ModelError where they are not there in full."""
    own, places = base_weights(denoiser), dict(linears(denoiser))
    for module in adapter.modules:
        weight = places[module].weight
        weight += delta(adapter, module, own[module]).to(weight)
