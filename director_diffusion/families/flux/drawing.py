"""Drawing with Flux: diffusers' own pipeline, as users of an adapter would run it.

Belongs here: sampling.  Encoding for the caches lives in `encoding`, training in `denoising`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import FluxPipeline
from peft.tuners.tuners_utils import BaseTunerLayer
from PIL import Image
from safetensors import safe_open

from director_diffusion.errors import EvaluationError, ModelError


class FluxPainter:
    """`families.base.Painter` over FluxPipeline.

    Guidance is either the embedded input that the base was distilled with, or classifier-free (Ho and Salimans 2022)
    against the empty prompt; which one is a property of the checkpoint, so a spec that says otherwise is refused.
    """

    def __init__(self, folder: Path, *, device: str, dtype: torch.dtype, guidance_kind: str, max_tokens: int):
        """`max_tokens`: T5 tokens that prompts are padded to, as in training, since Flux attends to the padding."""
        self._pipeline = FluxPipeline.from_pretrained(folder, torch_dtype=dtype, local_files_only=True).to(device)
        self._pipeline.set_progress_bar_config(disable=True)
        self._max_tokens = max_tokens
        embedded = bool(self._pipeline.transformer.config.guidance_embeds)
        if embedded != (guidance_kind == "embedded"):
            raise ModelError(
                str(folder),
                f"{'takes' if embedded else 'does not take'} embedded guidance, but its spec says {guidance_kind}",
                f"Set guidance.kind to {'embedded' if embedded else 'classifier_free'}.",
            )
        self._embedded = embedded

    def attach(self, adapter: Path) -> None:
        """Load an adapter file in place of any other.  Raises ModelError unless every layer in it found its place."""
        self.detach()
        self._pipeline.load_lora_weights(adapter.parent, weight_name=adapter.name, local_files_only=True)
        in_file, in_model = _layers_in_file(adapter), self._adapted_layers()
        if in_file != in_model:
            self.detach()
            raise ModelError(
                str(adapter),
                f"does not fit this base: {len(in_file - in_model)} of its {len(in_file)} layers found no place",
                "Use an adapter that was trained on this very base.",
            )

    def detach(self) -> None:
        """Remove the adapter wholly."""
        self._pipeline.unload_lora_weights()

    def draw(
        self, prompts: Sequence[str], seeds: Sequence[int], *, width: int, height: int, steps: int, guidance: float
    ) -> list[Image.Image]:
        """One image per prompt and seed.  Width and height are pixels, multiples of twice the VAE's factor.

        Each seed has its own generator on the CPU, so its initial latents are the same in every arm, in every batch and
        on every device.
        """
        multiple = 2 * self._pipeline.vae_scale_factor
        if width % multiple or height % multiple:
            raise EvaluationError(
                f"{width} × {height}",
                f"is no size of this base: sides are multiples of {multiple}",
                "Mend its buckets.",
            )
        images = self._pipeline(
            list(prompts),
            width=width,
            height=height,
            num_inference_steps=steps,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            max_sequence_length=self._max_tokens,
            output_type="np",
            **self._guidance(guidance, len(prompts)),
        ).images
        if not np.isfinite(images).all():
            raise EvaluationError(
                "drawing", "the model gave values that are not finite", "Draw with dtype float32, or mend the adapter."
            )
        return list(self._pipeline.image_processor.numpy_to_pil(images))

    def _guidance(self, guidance: float, images: int) -> dict[str, object]:
        if self._embedded:
            return {"guidance_scale": guidance}
        if guidance < 1:
            raise EvaluationError(
                f"guidance {guidance}", "is below 1, where classifier-free guidance is not drawn", "Give 1 or more."
            )
        return {"true_cfg_scale": guidance, "negative_prompt": [""] * images}

    def _adapted_layers(self) -> set[str]:
        modules = self._pipeline.transformer.named_modules()
        return {name for name, module in modules if isinstance(module, BaseTunerLayer)}


def _layers_in_file(adapter: Path) -> set[str]:
    """Names of the transformer's layers that an adapter file has weights for."""
    with safe_open(adapter, framework="pt") as file:
        names = {key.split(".lora_")[0] for key in file.keys()}  # noqa: SIM118 — not a mapping
    return {name.removeprefix("transformer.") for name in names}
