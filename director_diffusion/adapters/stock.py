"""Stock: others' LoRA files, in whatever layout diffusers reads, beside what a denoiser is to wear.

Belongs here: loading one.  Files of this project's own are `files`'.
"""

from pathlib import Path
from typing import Any

from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError

from director_diffusion.errors import ModelError

NAME = "stock"


def load_stock(pipeline: Any, path: Path, role: str) -> None:
    """Load a LoRA with the pipeline's own reader: it may adapt convolutions too, and have kohya's names.

    Before all others: a LoKr lies below LoRA.  Raises ModelError unless all of it finds its place in the denoiser.
    """
    denoiser = getattr(pipeline, role)
    try:
        weights, alphas = pipeline.lora_state_dict(
            str(path.parent), weight_name=path.name, unet_config=denoiser.config, local_files_only=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(str(path), f"cannot be read as a LoRA: {error}", "Give another file.") from error
    astray = [name for name in weights if not name.startswith(f"{role}.")]
    if astray or not weights:
        raise ModelError(
            str(path),
            f"is no LoRA of the denoiser alone: {len(astray)} of its {len(weights)} weights are of others, as "
            f"{astray[:1]}",
            "Give a LoRA that leaves the text encoders alone.",
        )
    try:
        denoiser.load_lora_adapter(weights, prefix=role, network_alphas=alphas, adapter_name=NAME)
    except (RuntimeError, ValueError) as error:
        raise _misfit(path, str(error).splitlines()[0]) from error
    adapted = sum(NAME in module.lora_A for module in denoiser.modules() if isinstance(module, LoraLayer))
    if 2 * adapted != sum("lora" in name for name in weights):
        raise _misfit(path, f"{adapted} layers took its {len(weights)} weights")


def _misfit(path: Path, problem: str) -> ModelError:
    return ModelError(str(path), f"does not fit this base: {problem}", "Use a LoRA of this very base.")
