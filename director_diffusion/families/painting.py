"""Painting: a pipeline of diffusers as a painter, and as a sketcher around a denoiser in memory.

Belongs here: what drawing is for all families.  Sizes, guidance and latents are each family's.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
from diffusers import DiffusionPipeline
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from director_diffusion.adapters.files import check_fit, remove_adapter
from director_diffusion.adapters.stacking import load_stack
from director_diffusion.adapters.stock import load_stock
from director_diffusion.errors import EvaluationError
from director_diffusion.families.base import Conditions
from director_diffusion.specs import FewStepScheduler


class PipelinePainter(ABC):
    """`families.base.Painter` over a pipeline of diffusers."""

    role: str
    """Of the denoiser in the pipeline."""
    schedulers: Mapping[FewStepScheduler, Any] = MappingProxyType({})
    """That may draw in place of the pipeline's own."""

    def __init__(self, pipeline: DiffusionPipeline):
        self._pipeline: Any = pipeline
        self._pipeline.set_progress_bar_config(disable=True)

    @property
    def _denoiser(self) -> Any:
        return getattr(self._pipeline, self.role)

    def attach(self, *adapters: Path, strengths: Sequence[float] | None = None, stock: Path | None = None) -> None:
        """Load adapter files in place of any others.  Raises ModelError unless all of them fits this base."""
        self.detach()
        for adapter in adapters:
            check_fit(adapter, self._denoiser, self.role)
        if stock is not None:
            load_stock(self._pipeline, stock, self.role)
        load_stack(self._denoiser, adapters, strengths)

    def detach(self) -> None:
        """Remove all adapters wholly."""
        remove_adapter(self._denoiser)

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        width: int,
        height: int,
        steps: int,
        guidance: float,
        scheduler: FewStepScheduler | None = None,
    ) -> list[Image.Image]:
        """One image per prompt and seed.  Width and height are pixels, multiples of what the denoiser takes whole.

        Each seed has its own generator on the CPU, so its initial latents are the same in every arm, in every batch and
        on every device; so is the noise that a `scheduler` adds between steps.
        """
        check_size(width, height, self._multiple)
        with self._drawing_by(scheduler):
            images = self._levels(
                list(prompts),
                generators_of(seeds),
                width=width,
                height=height,
                num_inference_steps=steps,
                **self._guidance(guidance, len(prompts)),
            )
        if not np.isfinite(images).all():
            raise EvaluationError(
                "drawing", "the model gave values that are not finite", "Draw with dtype float32, or mend the adapter."
            )
        return list(self._pipeline.image_processor.numpy_to_pil(images))

    @contextmanager
    def _drawing_by(self, scheduler: FewStepScheduler | None) -> Iterator[None]:
        """The pipeline with a scheduler in place of its own inside, over the same noise levels."""
        own = self._pipeline.scheduler
        if scheduler is not None:
            if scheduler not in self.schedulers:
                raise EvaluationError(
                    f"scheduler {scheduler}", "does not draw with this base", "Draw with the base's own scheduler."
                )
            other = self.schedulers[scheduler]
            # DDIM alone would clip latents as though they were pixels, where the base's own scheduler says nothing.
            unclipped = {"clip_sample": False} if scheduler == "ddim" else {}
            self._pipeline.scheduler = other.from_config(own.config, timestep_spacing="trailing", **unclipped)
        try:
            yield
        finally:
            self._pipeline.scheduler = own

    @property
    @abstractmethod
    def _multiple(self) -> int:
        """Pixels that both sides of a picture are multiples of."""

    @abstractmethod
    def _guidance(self, guidance: float, images: int) -> dict[str, object]:
        """The pipeline's own words for guidance.  Raises EvaluationError for one that it does not draw with."""

    def _levels(
        self, prompts: list[str], generators: list[torch.Generator], *, width: int, height: int, **settings: Any
    ) -> NDArray[np.floating[Any]]:
        """Images (B, H, W, 3) in [0, 1]."""
        drawn = self._pipeline(
            prompts, width=width, height=height, generator=generators, output_type="np", **settings
        ).images
        return cast("NDArray[np.floating[Any]]", drawn)


def generators_of(seeds: Sequence[int]) -> list[torch.Generator]:
    """A generator on the CPU for each seed."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def check_size(width: int, height: int, multiple: int) -> None:
    """Raise EvaluationError unless both sides, in pixels, are multiples."""
    if width % multiple or height % multiple:
        raise EvaluationError(
            f"{width} × {height}",
            f"is no size of this base: sides are multiples of {multiple}",
            "Mend its buckets.",
        )


def check_classifier_free(guidance: float) -> None:
    """Raise EvaluationError for classifier-free guidance (Ho and Salimans 2022) that pipelines do not draw with."""
    if guidance < 1:
        raise EvaluationError(
            f"guidance {guidance}", "is below 1, where classifier-free guidance is not drawn", "Give 1 or more."
        )


@contextmanager
def sketching(pipeline: DiffusionPipeline, role: str) -> Iterator[Any]:
    """The pipeline, for drawing without bars or gradients; its denoiser is in eval mode inside, and as before after."""
    pipeline.set_progress_bar_config(disable=True)
    training = [module for module in getattr(pipeline, role).modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            yield pipeline
    finally:
        for module in training:
            module.training = True


def floating_dtype(denoiser: nn.Module) -> torch.dtype:
    """What a denoiser computes in, also where its linears are in 4 bits."""
    return next(parameter.dtype for parameter in denoiser.parameters() if parameter.is_floating_point())


def given(conditions: Conditions, denoiser: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """Embedded prompts as a pipeline takes them, where the denoiser is and in its dtype."""
    device = next(denoiser.parameters()).device
    return {
        f"{prefix}{name}": conditions[name].to(device, floating_dtype(denoiser))
        for name in ("prompt_embeds", "pooled_prompt_embeds")
        if name in conditions
    }
