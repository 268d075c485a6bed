"""Drawing with Flux: diffusers' own pipeline, as users of an adapter would run it.

Belongs here: sampling.  Encoding for the caches lives in `encoding`, training in `denoising`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from diffusers import FluxPipeline
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import nn

from director_diffusion.errors import EvaluationError, ModelError


class FluxPainter:
    """`families.base.Painter` over FluxPipeline.

    Guidance is either the embedded input that the base was distilled with, or classifier-free (Ho and Salimans 2022)
    against the empty prompt; which one is a property of the checkpoint, so a spec that says otherwise is refused.
    """

    def __init__(self, pipeline: FluxPipeline, *, name: str, guidance_kind: str, max_tokens: int):
        """`name` is what errors call the pipeline.

        `max_tokens`: T5 tokens that prompts are padded to, as in training, since Flux attends to the padding.
        """
        self._pipeline = pipeline
        self._pipeline.set_progress_bar_config(disable=True)
        self._max_tokens = max_tokens
        embedded = bool(self._pipeline.transformer.config.guidance_embeds)
        if embedded != (guidance_kind == "embedded"):
            raise ModelError(
                name,
                f"{'takes' if embedded else 'does not take'} embedded guidance, but its spec says {guidance_kind}",
                f"Set guidance.kind to {'embedded' if embedded else 'classifier_free'}.",
            )
        self._embedded = embedded

    @classmethod
    def load(
        cls, folder: Path, *, device: str, dtype: torch.dtype, guidance_kind: str, max_tokens: int, **components: Any
    ) -> Self:
        """The pipeline of a folder in diffusers' layout, with `components` in place of its own."""
        pipeline = FluxPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True, **components).to(device)
        return cls(pipeline, name=str(folder), guidance_kind=guidance_kind, max_tokens=max_tokens)

    def attach(self, adapter: Path) -> None:
        """Load an adapter file in place of any other.  Raises ModelError unless all of it fits this base."""
        self.detach()
        _check_fit(adapter, self._pipeline.transformer)
        self._pipeline.load_lora_weights(adapter.parent, weight_name=adapter.name, local_files_only=True)

    def detach(self) -> None:
        """Remove the adapter wholly."""
        self._pipeline.unload_lora_weights()

    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], *, width: int, height: int, steps: int, guidance: float
    ) -> list[Image.Image]:
        """One image per prompt and seed.  Width and height are pixels, multiples of a token's side.

        Each seed has its own generator on the CPU, so its initial latents are the same in every arm, in every batch and
        on every device.
        """
        multiple = self._multiple
        if width % multiple or height % multiple:
            raise EvaluationError(
                f"{width} × {height}",
                f"is no size of this base: sides are multiples of {multiple}",
                "Mend its buckets.",
            )
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        settings = {
            "num_inference_steps": steps,
            "max_sequence_length": self._max_tokens,
            **self._guidance(guidance, len(prompts)),
        }
        images = self._levels(list(prompts), generators, width=width, height=height, **settings)
        if not np.isfinite(images).all():
            raise EvaluationError(
                "drawing", "the model gave values that are not finite", "Draw with dtype float32, or mend the adapter."
            )
        return list(self._pipeline.image_processor.numpy_to_pil(images))

    @property
    def _multiple(self) -> int:
        """Pixels along a side of one token."""
        return 2 * int(self._pipeline.vae_scale_factor)

    def _levels(
        self, prompts: list[str], generators: list[torch.Generator], *, width: int, height: int, **settings: Any
    ) -> NDArray[np.floating[Any]]:
        """Images (B, H, W, 3) in [0, 1]."""
        drawn = self._pipeline(
            prompts, width=width, height=height, generator=generators, output_type="np", **settings
        ).images
        return cast("NDArray[np.floating[Any]]", drawn)

    def _guidance(self, guidance: float, images: int) -> dict[str, object]:
        if self._embedded:
            return {"guidance_scale": guidance}
        if guidance < 1:
            raise EvaluationError(
                f"guidance {guidance}", "is below 1, where classifier-free guidance is not drawn", "Give 1 or more."
            )
        return {"true_cfg_scale": guidance, "negative_prompt": [""] * images}


def _check_fit(adapter: Path, transformer: nn.Module) -> None:
    """Raise ModelError unless every weight in the file belongs to a linear layer of its shape.

    diffusers itself only logs layers that found no place, and takes weights of other shapes until they are first used.
    """
    try:
        with safe_open(adapter, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 — no mapping
    except (OSError, SafetensorError) as error:
        raise ModelError(str(adapter), f"cannot be read as an adapter: {error}", "Train the adapter again.") from error
    fitting = {}
    for name, module in transformer.named_modules(prefix="transformer"):
        if isinstance(module, nn.Linear):
            fitting[f"{name}.lora_A.weight"] = (1, module.in_features)
            fitting[f"{name}.lora_B.weight"] = (0, module.out_features)
    misfits = [key for key, shape in shapes.items() if key not in fitting or shape[fitting[key][0]] != fitting[key][1]]
    if misfits or not shapes:
        raise ModelError(
            str(adapter),
            f"does not fit this base: {len(misfits)} of its {len(shapes)} weights have no place, as {misfits[:1]}",
            "Use an adapter that was trained on this very base.",
        )
