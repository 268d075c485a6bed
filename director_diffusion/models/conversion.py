"""Conversion: a checkpoint's components as folders in diffusers' layout.

Belongs here: from tensors in a file's own words to weights that diffusers and transformers load.  Values and their
dtype stay as they are, and weights are read and written a shard at a time.
"""

import importlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import ModelMixin
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from director_diffusion.errors import ModelError
from director_diffusion.models.checkpoint import Checkpoint
from director_diffusion.models.flux_layout import flux_to_diffusers

SHARD = 4 * 10**9  # bytes, about

_OPEN_CLIP = "conditioner.embedders.1.model."  # what diffusers expects before such names


def check_fits(checkpoint: Checkpoint, rest: Path, *, name: str, rest_name: str) -> None:
    """Raise ModelError unless every component of a file is one of the pipeline in `rest`.

    Compares names and shapes; no weights are read, and of `rest` only configurations.
    """
    tensors = {key: torch.empty(shape, device="meta") for key, shape in checkpoint.shapes.items()}
    for component in used_components(checkpoint, rest, name=name, rest_name=rest_name):
        _converted(checkpoint, component, rest, tensors, name=name, rest_name=rest_name)


def write_components(checkpoint: Checkpoint, rest: Path, out: Path, *, name: str, rest_name: str) -> None:
    """Write the file's components, with `rest`'s configurations, as folders below `out`.  Raises as `check_fits`."""
    check_fits(checkpoint, rest, name=name, rest_name=rest_name)
    tensors = load_file(checkpoint.path)  # mapped into memory: read when written
    for component in used_components(checkpoint, rest, name=name, rest_name=rest_name):
        weights = _converted(checkpoint, component, rest, tensors, name=name, rest_name=rest_name)
        (out / component).mkdir(parents=True)
        shutil.copyfile(rest / component / "config.json", out / component / "config.json")
        of_diffusers = issubclass(_class_of(rest, component), ModelMixin)
        _write_weights(weights, out / component, "diffusion_pytorch_model" if of_diffusers else "model")


def used_components(checkpoint: Checkpoint, rest: Path, *, name: str, rest_name: str) -> list[str]:
    """The components of a file that the pipeline in `rest` has.

    Raises ModelError where that has no such denoiser, or its scheduler denoises otherwise than the file says.
    """
    index = _read(rest / "model_index.json")
    present = [component for component in checkpoint.components if (index.get(component) or [None])[0]]
    if checkpoint.denoiser not in present:
        raise ModelError(
            name,
            f"holds a {checkpoint.architecture} {checkpoint.denoiser}, but {rest_name} is a {index.get('_class_name')}",
            f"Give a {checkpoint.architecture} base as `rest`, and its `family`.",
        )
    for mark, (key, value) in _SCHEDULES.items():
        if mark in checkpoint.shapes and _read(rest / "scheduler" / "scheduler_config.json").get(key) != value:
            raise ModelError(
                name,
                f"says `{mark}`, but the scheduler of {rest_name} is not set to {key}: {json.dumps(value)}",
                "Give a `rest` whose scheduler is.",
            )
    return present


_SCHEDULES: Mapping[str, tuple[str, str | bool]] = {
    "v_pred": ("prediction_type", "v_prediction"),
    "ztsnr": ("rescale_betas_zero_snr", True),
}
"""Tensors by which such files tell how they were trained."""


def _converted(
    checkpoint: Checkpoint, component: str, rest: Path, tensors: Mapping[str, Tensor], *, name: str, rest_name: str
) -> dict[str, Tensor]:
    """The component's tensors by the names of its class, all there and of the right shapes."""
    own = {own: tensors[key] for own, key in checkpoint.components[component].names.items()}
    try:
        model, config = _empty_model(rest, component)
    except (OSError, ValueError) as error:
        raise ModelError(
            rest_name, f"is not a whole base: {component}/config.json cannot be read", "Download or copy it again."
        ) from error
    try:
        match checkpoint.components[component].layout:
            case "flux":
                found = flux_to_diffusers(own)
            case "ldm_unet":
                found = convert_ldm_unet_checkpoint(_prefixed("model.diffusion_model.", own), config)
            case "ldm_vae":
                found = convert_ldm_vae_checkpoint(_prefixed("first_stage_model.", own), config)
            case "open_clip":
                found = convert_open_clip_checkpoint(model, _prefixed(_OPEN_CLIP, own), prefix=_OPEN_CLIP)
            case "library":
                found = own
    except KeyError as error:
        raise _misfit(checkpoint, component, f"it has no {error.args[0]}", name, rest_name) from error
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    if not any(key.startswith("text_model.") for key in wanted):  # transformers' name of old for a level gone since
        found = {key.removeprefix("text_model."): tensor for key, tensor in found.items()}
    tied: Mapping[str, str] = getattr(model, "all_tied_weights_keys", {})
    missing = [key for key in wanted if key not in found and tied.get(key) not in found]
    other = [key for key, shape in wanted.items() if key in found and tuple(found[key].shape) != shape]
    strange = [key for key in found if key not in wanted] if component == checkpoint.denoiser else []
    if other:
        shapes = f"{other[0]} is of shape {tuple(found[other[0]].shape)} in it and of {wanted[other[0]]} there"
        raise _misfit(checkpoint, component, shapes, name, rest_name)
    if missing:
        raise _misfit(checkpoint, component, f"it lacks {_some(missing)}", name, rest_name)
    if strange:
        raise _misfit(checkpoint, component, f"it also has {_some(strange)}", name, rest_name)
    return {key: found[key] for key in wanted if key in found}


def _misfit(checkpoint: Checkpoint, component: str, problem: str, name: str, rest_name: str) -> ModelError:
    return ModelError(
        name,
        f"holds a {checkpoint.architecture} checkpoint whose {component} is none of {rest_name}'s shape: {problem}",
        "Give as `rest` the base that the checkpoint was made from, and its `family`.",
    )


def _empty_model(rest: Path, component: str) -> tuple[nn.Module, dict[str, Any]]:
    """A component of the pipeline in `rest` without memory for its weights, and its configuration."""
    kind: Any = _class_of(rest, component)
    config = _read(rest / component / "config.json")
    with init_empty_weights():
        if issubclass(kind, ModelMixin):
            return kind.from_config(config), config
        return kind(kind.config_class.from_dict(config)), config


def _class_of(rest: Path, component: str) -> type[nn.Module]:
    library, kind = _read(rest / "model_index.json")[component]
    return getattr(importlib.import_module(library), kind)


def _write_weights(weights: Mapping[str, Tensor], folder: Path, stem: str) -> None:
    """As diffusers and transformers write them: one file, or shards with an index."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for key, tensor in weights.items():
        if size and size + tensor.nbytes > SHARD:
            shards.append({})
            size = 0
        shards[-1][key] = tensor.contiguous()
        size += tensor.nbytes
    names = [f"{stem}-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    if len(shards) == 1:
        names = [f"{stem}.safetensors"]
    else:
        places = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        index = {"metadata": {"total_size": sum(tensor.nbytes for tensor in weights.values())}, "weight_map": places}
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=2))
    for name, shard in zip(names, shards, strict=True):
        try:
            save_file(shard, folder / name, metadata={"format": "pt"})
        except SafetensorError as error:  # it wraps what the system says into words
            refusal = re.search(r"\(os error (\d+)\)", str(error))
            if refusal is None:
                raise
            raise OSError(int(refusal[1]), str(error)) from error


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{key}": tensor for key, tensor in tensors.items()}


def _some(keys: list[str]) -> str:
    return f"{', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError(
            str(path.parent), f"is not a base in diffusers' layout: {path.name} is missing", "Mend `rest` in its spec."
        ) from error
    except ValueError as error:
        raise ModelError(str(path), "is not JSON", "Download or copy it again.") from error
    return dict(content)
