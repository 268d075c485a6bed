"""Layouts: the names and scales under which other tools read adapters.

Belongs here: how kohya's sd-scripts and ComfyUI name the linears of each family, and what they expect beside the
weights.  Which file becomes which is `export`'s.

In both, ΔW = alpha / rank · up · down with alpha beside the weights: a rank-stabilised scale is folded into alpha, so
that every loader gives the same strength.  DoRA's magnitudes are `dora_scale` (out, 1).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from director_diffusion.adapters.files import LOKR_ALPHA, AdapterFile
from director_diffusion.errors import ModelError
from director_diffusion.specs import FLOWS

Layout = Literal["kohya", "comfyui"]

UNETS = ("sdxl", "sd15")
_BLOCK = re.compile(r"(single_)?transformer_blocks\.\d+\.")

# Black Forest Labs' own names, which sd-scripts trains under, and the linears of diffusers that each consists of, in
# the order of their rows (diffusers, scripts/convert_flux_to_diffusers.py).
_DOUBLE = {
    "img_attn_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn_proj": ("attn.to_out.0",),
    "txt_attn_proj": ("attn.to_add_out",),
    "img_mlp_0": ("ff.net.0.proj",),
    "img_mlp_2": ("ff.net.2",),
    "txt_mlp_0": ("ff_context.net.0.proj",),
    "txt_mlp_2": ("ff_context.net.2",),
    "img_mod_lin": ("norm1.linear",),
    "txt_mod_lin": ("norm1_context.linear",),
}
_SINGLE = {
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation_lin": ("norm.linear",),
}
_MLP_RATIO = 4  # rows of Flux's proj_mlp for each of a query

# sd-scripts trains SDXL on Stability AI's own UNet, which counts its blocks through, three to a level (diffusers,
# loaders/lora_conversion_utils.py), and SD 1.5 on one with diffusers' names.  The rest of a linear's name is the same.
_STABILITY = {
    **{f"down_blocks.{i}.attentions.{j}": f"input_blocks_{3 * i + j + 1}_1" for i in (1, 2) for j in (0, 1)},
    "mid_block.attentions.0": "middle_block_1",
    **{f"up_blocks.{i}.attentions.{j}": f"output_blocks_{3 * i + j}_1" for i in (0, 1) for j in (0, 1, 2)},
}


def in_layout(
    file: AdapterFile, layout: Layout, family: str, weights: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """An adapter's tensors as a tool names them.

    `weights` are the base's by module, which DoRA needs in ComfyUI: there (0.3.77) `dora_scale` is set against the norm
    of W, not of W + ΔW as in the paper, in peft and in LyCORIS, so it is rescaled to give the same result.  Raises
    ModelError where the layout cannot hold the adapter.
    """
    if family in FLOWS and layout == "kohya":
        return _of_black_forest_labs(file)
    if family == "sdxl" and layout == "kohya":
        names = _of_stability(file.modules)
    else:
        names = {module: linear_name(module, family) for module in file.modules}
    if file.kind == "lokr":
        return {key: tensor for module, name in names.items() for key, tensor in _lokr(file, module, name).items()}
    loras = {module: _lora(file, module) for module in file.modules}
    if layout == "comfyui":
        loras = {module: _against_base(lora, module, weights) for module, lora in loras.items()}
    # One alpha for all, for diffusers (0.42) loses those of a UNet that differ from the most common one.
    alpha = max(lora.scale * lora.rank for lora in loras.values())
    down, up = ("lora_A.weight", "lora_B.weight") if family in FLOWS else ("lora_down.weight", "lora_up.weight")
    return {
        key: tensor
        for module, lora in loras.items()
        for key, tensor in lora.at_scale(alpha / lora.rank).named(names[module], down, up).items()
    }


def linear_name(module: str, family: str) -> str:
    """What ComfyUI (and, of SD 1.5, sd-scripts) calls a linear of diffusers.

    Raises ModelError for families that neither is known to name.
    """
    if family in FLOWS:
        return f"transformer.{module}"
    if family in UNETS:
        return f"lora_unet_{module.replace('.', '_')}"
    raise ModelError(
        f"family {family!r}", "has no layout but diffusers' own", f"Export adapters of {', '.join((*FLOWS, *UNETS))}."
    )


def _of_stability(modules: Sequence[str]) -> dict[str, str]:
    """What sd-scripts calls the linears of SDXL.

    Presets reach every attention.  An adapter of others, as of the mini base, would get names that mean other linears.
    """
    blocks = {module: ".".join(module.split(".")[: 3 if module.startswith("mid_block.") else 4]) for module in modules}
    if differing := _STABILITY.keys() ^ set(blocks.values()):
        raise ModelError(
            "the adapter",
            f"is not of SDXL's own UNet, the only one that sd-scripts trains: they differ in {min(differing)}",
            "Export it for diffusers or ComfyUI.",
        )
    return {
        module: f"lora_unet_{_STABILITY[block]}{module.removeprefix(block).replace('.', '_')}"
        for module, block in blocks.items()
    }


@dataclass(frozen=True)
class _Lora:
    """A linear's LoRA: ΔW = scale · up · down, before DoRA's magnitudes."""

    down: Tensor  # (rank, in)
    up: Tensor  # (out, rank)
    scale: float
    dora_scale: Tensor | None  # (out,)

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def at_scale(self, scale: float) -> "_Lora":
        """The same ΔW told with another scale."""
        return self if scale == self.scale else replace(self, up=self.up * (self.scale / scale), scale=scale)

    def named(self, name: str, down: str, up: str) -> dict[str, Tensor]:
        """Its tensors under a linear's name."""
        tensors = {
            f"{name}.{down}": self.down,
            f"{name}.{up}": self.up,
            f"{name}.alpha": torch.tensor(self.scale * self.rank),
        }
        return tensors if self.dora_scale is None else {**tensors, f"{name}.dora_scale": self.dora_scale[:, None]}


def _lora(file: AdapterFile, module: str) -> _Lora:
    return _Lora(
        file.weights[f"{module}.lora_A.weight"],
        file.weights[f"{module}.lora_B.weight"],
        file.scale(module),
        file.weights.get(f"{module}.lora_magnitude_vector"),
    )


def _lokr(file: AdapterFile, module: str, name: str) -> dict[str, Tensor]:
    factors = {f"{name}.{factor}": file.weights[f"{module}.{factor}"] for factor in ("lokr_w1", "lokr_w2")}
    return {**factors, f"{name}.alpha": torch.tensor(LOKR_ALPHA)}


def _against_base(lora: _Lora, module: str, weights: Mapping[str, Tensor] | None) -> _Lora:
    if lora.dora_scale is None:
        return lora
    if weights is None:
        raise ModelError(
            f"DoRA of {module}", "cannot be told to ComfyUI without the base: it takes the norm of W", "Give the base."
        )
    own = weights[module].to("cpu", torch.float32)
    directed = own + lora.scale * (lora.up.float() @ lora.down.float())
    return replace(lora, dora_scale=lora.dora_scale.float() * own.norm(dim=1) / directed.norm(dim=1))


def _of_black_forest_labs(file: AdapterFile) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    left = set(file.modules)
    for block in sorted({found.group() for module in left if (found := _BLOCK.match(module))}):
        kind, number = block.rstrip(".").split(".")
        table, short = (_SINGLE, "single") if kind == "single_transformer_blocks" else (_DOUBLE, "double")
        for theirs, ours in table.items():
            parts = [f"{block}{part}" for part in ours]
            present = [part for part in parts if part in left]
            left.difference_update(present)
            name = f"lora_unet_{short}_blocks_{number}_{theirs}"
            if present and file.kind == "lora":
                tensors |= _fused(file, parts).named(name, "lora_down.weight", "lora_up.weight")
            elif present and len(parts) == 1:
                tensors |= _lokr(file, parts[0], name)
            elif present:
                raise ModelError(
                    f"LoKr of {present[0]}",
                    f"does not fuse: {theirs} is one linear there, and Kronecker products of its parts are none of it",
                    "Export it for ComfyUI, or with `--layout lora` for diffusers.",
                )
    if left:
        raise ModelError(
            f"linear {min(left)!r}", "has no name in sd-scripts' Flux", "Export the adapter for diffusers or ComfyUI."
        )
    return tensors


def _fused(file: AdapterFile, parts: Sequence[str]) -> _Lora:
    """LoRAs of linears that read one input and whose rows are stacked there, as one: down stacked, up block-diagonal.

    Exact, of the rank of all together.  A linear that has none is rows of zeros.
    """
    loras = {part: _lora(file, part) for part in parts if part in file.modules}
    if len(parts) == 1:
        return loras[parts[0]]
    inputs = next(iter(loras.values())).down.shape[1]
    magnitudes = [lora.dora_scale for lora in loras.values() if lora.dora_scale is not None]
    if magnitudes and len(magnitudes) < len(parts):
        raise ModelError(
            f"DoRA of {next(iter(loras))}",
            "does not fuse with linears that have none: their magnitudes are the base's",
            "Export it for ComfyUI.",
        )
    scales = {lora.scale for lora in loras.values()}
    common = scales.pop() if len(scales) == 1 else 1.0
    ups = [
        loras[part].at_scale(common).up
        if part in loras
        else torch.zeros(inputs * (_MLP_RATIO if part.endswith("proj_mlp") else 1), 0)
        for part in parts
    ]
    return _Lora(
        torch.cat([lora.down for lora in loras.values()]),
        torch.block_diag(*ups),
        common,
        torch.cat(magnitudes) if magnitudes else None,
    )
