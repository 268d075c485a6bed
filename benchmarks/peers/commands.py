"""Commands: the two sides of a task as processes.

Belongs here: what diffusers' scripts (v0.40, the last before the installed 0.42 that is at hand) call the things that
a task says.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers.task import TRIGGER, Task

SCRIPTS = {
    "flux": "examples/dreambooth/train_dreambooth_lora_flux.py",
    "sdxl": "examples/text_to_image/train_text_to_image_lora_sdxl.py",
}


def ours(task: Path, out: Path, seed: int, flags: Sequence[str] = ()) -> list[str]:
    """Our side; `flags` are the interpreter's."""
    return [sys.executable, *flags, "-m", f"{__package__}.ours", str(task), str(out), "--seed", str(seed)]


def helper(module: str, *arguments: object) -> list[str]:
    """A process of this folder that is not measured."""
    return [sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments)]


def theirs(task: Task, out: Path, seed: int, *, diffusers: Path, python: str, flags: Sequence[str] = ()) -> list[str]:
    """diffusers' script for the task, run by the interpreter `python`, which needs `datasets` for captions."""
    family = {"flux": _flux, "sdxl": _sdxl}[task.family](task)
    settings = {
        "pretrained_model_name_or_path": task.model,
        "output_dir": out,
        "cache_dir": out / "datasets",
        "resolution": task.side,
        "center_crop": None,
        "train_batch_size": task.batch_size,
        "max_train_steps": task.steps,
        "checkpointing_steps": task.steps + 1,  # none: what is measured ends with the adapter
        "rank": task.rank,
        "learning_rate": task.lr,
        "lr_scheduler": "cosine",
        "lr_warmup_steps": task.warmup_steps,
        "adam_beta2": task.beta2,
        "adam_weight_decay": task.weight_decay,
        "max_grad_norm": 1.0,
        "mixed_precision": "bf16" if task.precision == "bfloat16" else "no",
        "seed": seed,
        **family,
    }
    arguments = [part for name, value in settings.items() for part in (f"--{name}", value) if part is not None]
    return [python, *flags, str(diffusers / SCRIPTS[task.family]), *map(str, arguments)]


def _flux(task: Task) -> dict[str, object]:
    train = Path(task.folder) / "train"
    data: dict[str, object] = {"instance_data_dir": train}
    if task.captioned:
        data = {"dataset_name": train, "image_column": "image", "caption_column": "text"}
    return {
        **data,
        "instance_prompt": TRIGGER,
        "max_sequence_length": task.max_tokens,
        "guidance_scale": task.guidance,
        "lora_alpha": task.rank,
        "lora_layers": ",".join(task.targets()),
        "optimizer": "AdamW",
        "weighting_scheme": "logit_normal",
        "cache_latents": None,
    }


def _sdxl(task: Task) -> dict[str, object]:
    """It always takes captions, encodes pictures at every step, and adapts attention alone."""
    return {"train_data_dir": Path(task.folder) / "train"}
