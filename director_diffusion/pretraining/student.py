"""Students: pipelines whose denoiser and text encoders learn, whatever their architecture.

Belongs here: what a lesson is given of one.  `flux_parts` and `unet_parts` make them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from diffusers import DiffusionPipeline
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from director_diffusion.processes import Process
from director_diffusion.specs import Timesteps


@dataclass(frozen=True)
class Student:
    """One pipeline, and how it is taught."""

    pipeline: DiffusionPipeline
    denoiser: nn.Module
    modules: Mapping[str, nn.Module]
    """All that learn, by their names in the pipeline."""
    embed: Callable[[Sequence[str]], dict[str, Tensor]]
    """Prompts to what the denoiser is given of them (B, ...), with their gradients."""
    process: Process
    timesteps: Timesteps
    tokenizer: PreTrainedTokenizerBase
    """The one that decides how long a prompt may be."""
