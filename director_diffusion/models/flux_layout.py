"""Flux's own layout: the names of Black Forest Labs' files, which ComfyUI keeps, in diffusers' words.

Belongs here: that one table.  diffusers has it too, but for a width of 3072 alone, and copies what it splits.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

_ENDS = {
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "final_layer.linear": "proj_out",
}
_DOUBLE = {
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
}
_SINGLE = {
    "modulation.lin": "norm.linear",
    "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
    "linear2": "proj_out",
}
_FUSED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
}
_BLOCKS = {"double_blocks": ("transformer_blocks", _DOUBLE), "single_blocks": ("single_transformer_blocks", _SINGLE)}
_FINAL_NORM = "final_layer.adaLN_modulation.1"


def flux_to_diffusers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A Flux transformer's tensors by diffusers' names; what is fused there comes apart as views.

    Names that a Flux has not stay as they are.
    """
    width = tensors["img_in.weight"].shape[0]
    converted: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        layer, _, kind = key.rpartition(".")
        kind = "weight" if kind == "scale" else kind
        if layer == _FINAL_NORM:  # shift before scale there, scale before shift in diffusers
            converted[f"norm_out.linear.{kind}"] = torch.cat(tensor.chunk(2)[::-1])
        elif layer in _ENDS:
            converted[f"{_ENDS[layer]}.{kind}"] = tensor
        else:
            converted |= _of_block(key, layer, kind, tensor, width)
    return converted


def _of_block(key: str, layer: str, kind: str, tensor: Tensor, width: int) -> dict[str, Tensor]:
    stack, _, rest = layer.partition(".")
    number, _, name = rest.partition(".")
    if stack not in _BLOCKS:
        return {key: tensor}
    blocks, names = _BLOCKS[stack]
    if name in _FUSED:
        parts = _FUSED[name]
        sizes = [width] * (len(parts) - 1)
        split = tensor.split([*sizes, tensor.shape[0] - sum(sizes)])
        return {f"{blocks}.{number}.{part}.{kind}": one for part, one in zip(parts, split, strict=True)}
    return {f"{blocks}.{number}.{names[name]}.{kind}": tensor} if name in names else {key: tensor}
