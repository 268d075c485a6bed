"""Checkpoints: what a single safetensors file holds, told from its header alone.

Belongs here: components and their names in such files, and what is no checkpoint.  Imports no torch; turning components
into diffusers' layout is `conversion`'s.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from director_diffusion.errors import ModelError

Layout = Literal["flux", "ldm_unet", "ldm_vae", "open_clip", "library"]
"""In whose words a component's tensors are named; `library` is diffusers or transformers itself."""


@dataclass(frozen=True)
class Component:
    """A component of a pipeline, as a file holds it."""

    layout: Layout
    names: Mapping[str, str]  # in the layout's words → in the file


@dataclass(frozen=True)
class Checkpoint:
    """A file with a denoiser, and perhaps with more."""

    path: Path
    architecture: str  # of the denoiser, for people
    denoiser: str  # its component
    components: Mapping[str, Component]  # by their names in diffusers' pipelines, the denoiser first
    shapes: Mapping[str, tuple[int, ...]]  # of all tensors, by their names in the file


@dataclass(frozen=True)
class _Denoiser:
    marks: tuple[str, ...]  # tensors that such a denoiser has
    architecture: str
    component: str
    layout: Layout


_DENOISERS = (
    _Denoiser(("double_blocks.0.img_attn.qkv.weight", "vector_in.in_layer.weight"), "Flux", "transformer", "flux"),
    _Denoiser(("input_blocks.0.0.weight", "label_emb.0.0.weight"), "Stable Diffusion XL", "unet", "ldm_unet"),
    _Denoiser(("input_blocks.0.0.weight", "out.2.weight"), "Stable Diffusion", "unet", "ldm_unet"),
    _Denoiser(
        ("transformer_blocks.0.attn.add_q_proj.weight", "single_transformer_blocks.0.proj_mlp.weight"),
        "Flux",
        "transformer",
        "library",
    ),
    _Denoiser(("conv_in.weight", "add_embedding.linear_1.weight"), "Stable Diffusion XL", "unet", "library"),
    _Denoiser(("conv_in.weight", "mid_block.attentions.0.proj_in.weight"), "Stable Diffusion", "unet", "library"),
)
_DENOISER_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "")
_OTHERS: Mapping[str, tuple[str, Layout]] = {
    "first_stage_model.": ("vae", "ldm_vae"),
    "vae.": ("vae", "ldm_vae"),
    "cond_stage_model.transformer.": ("text_encoder", "library"),
    "conditioner.embedders.0.transformer.": ("text_encoder", "library"),
    "conditioner.embedders.1.model.": ("text_encoder_2", "open_clip"),
    "text_encoders.clip_l.transformer.": ("text_encoder", "library"),
    "text_encoders.t5xxl.transformer.": ("text_encoder_2", "library"),
}
_ADAPTER = re.compile(r"lora_|lokr_|loha_|hada_w|\.(lora|dora_scale|oft_blocks|diff|diff_b)\b")
_SCALED = re.compile(r"\.(scale_weight|weight_scale|scale_input|input_scale|absmax|comfy_quant)$|(^|\.)scaled_fp8$")
_OTHER_FILES: Mapping[bytes, str] = {
    b"PK": "a pickled checkpoint (.ckpt or .pt)",
    b"\x80": "a pickled checkpoint (.ckpt or .pt)",
    b"GGUF": "a GGUF file",
    b"version http": "a pointer that git left in the file's place",
    b"<": "a web page",
}


def read_checkpoint(path: Path, name: str) -> Checkpoint:
    """What the file at `path`, called `name` in errors, holds.  Reads its header only.

    Raises ModelError where it is absent, damaged, of another format, or holds no denoiser known here.
    """
    shapes = _read_shapes(path, name)
    scaled = next((key for key in shapes if _SCALED.search(key)), None)
    if scaled is not None:
        raise ModelError(
            name,
            f"holds quantised weights whose scales stand apart ({scaled})",
            "Give the full checkpoint (float32, float16 or bfloat16), or one in plain float8; a recipe's "
            "`quantised_base` quantises it itself.",
        )
    for denoiser in _DENOISERS:
        for prefix in _DENOISER_PREFIXES:
            if all(f"{prefix}{mark}" in shapes for mark in denoiser.marks):
                return _checkpoint(path, denoiser, prefix, shapes)
    raise _without_denoiser(name, shapes)


def _read_shapes(path: Path, name: str) -> dict[str, tuple[int, ...]]:
    try:
        with path.open("rb") as file:
            start = file.read(16)
        with safe_open(path, framework="numpy") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 — no mapping
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ModelError(
            name, f"is not a file (looked for {path})", "Put the checkpoint there, or mend `file` in its spec."
        ) from error
    except PermissionError as error:
        raise ModelError(name, "may not be read", "Give this user read access to it.") from error
    except SafetensorError as error:
        kind = next((kind for magic, kind in _OTHER_FILES.items() if start.startswith(magic)), None)
        if kind is not None:
            raise ModelError(name, f"is {kind}, not a safetensors file", "Give it as safetensors.") from error
        raise ModelError(
            name, f"is damaged or was cut off: {error}", "Download or copy it again, wholly; it must be safetensors."
        ) from error


def _checkpoint(path: Path, denoiser: _Denoiser, prefix: str, shapes: Mapping[str, tuple[int, ...]]) -> Checkpoint:
    others: dict[str, Component] = {}
    for begin, (component, layout) in _OTHERS.items():
        if names := _named(shapes, begin):
            others.setdefault(component, Component(layout, names))
    own = _named(shapes, prefix) if prefix else _named([key for key in shapes if not key.startswith((*_OTHERS,))], "")
    return Checkpoint(
        path=path,
        architecture=denoiser.architecture,
        denoiser=denoiser.component,
        components={denoiser.component: Component(denoiser.layout, own), **others},
        shapes=shapes,
    )


def _named(keys: Collection[str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): key for key in keys if key.startswith(prefix)}


def _without_denoiser(name: str, shapes: Collection[str]) -> ModelError:
    if any(_ADAPTER.search(key) for key in shapes):
        return ModelError(
            name,
            "is an adapter (LoRA, LoKr or the like), not a checkpoint",
            "Give the base that it was made for; adapters are what is trained here.",
        )
    parts = sorted({part for prefix, (part, _) in _OTHERS.items() if _named(shapes, prefix)})
    if parts:
        return ModelError(
            name, f"holds {' and '.join(parts)} but no denoiser", "Give the checkpoint that holds the denoiser."
        )
    return ModelError(
        name,
        f"holds no Flux, Stable Diffusion XL or Stable Diffusion denoiser (its tensors: {', '.join([*shapes][:3])} …)",
        "Give a checkpoint of one of these, or the model in diffusers' layout as a source of kind folder.",
    )
