"""Checkpoints as their authors publish them, and ComfyUI keeps them, written from models of diffusers and transformers.

The names are those of Black Forest Labs' and Stability's own code.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

Tensors = dict[str, Tensor]


def flux_original(transformer: FluxTransformer2DModel) -> Tensors:
    """The tensors of `flux/model.py` of Black Forest Labs."""
    own, found = transformer.state_dict(), {}

    def take(original: str, *names: str, kinds: Mapping[str, str] = {"weight": "weight", "bias": "bias"}) -> None:
        for kind, here in kinds.items():
            if f"{names[0]}.{here}" in own:
                found[f"{original}.{kind}"] = torch.cat([own.pop(f"{name}.{here}") for name in names])

    scale = {"scale": "weight"}
    for one, embedder in (("time", "timestep"), ("vector", "text"), ("guidance", "guidance")):
        take(f"{one}_in.in_layer", f"time_text_embed.{embedder}_embedder.linear_1")
        take(f"{one}_in.out_layer", f"time_text_embed.{embedder}_embedder.linear_2")
    take("img_in", "x_embedder")
    take("txt_in", "context_embedder")
    take("final_layer.linear", "proj_out")
    for kind in ("weight", "bias"):
        scale_first = own.pop(f"norm_out.linear.{kind}")
        half = len(scale_first) // 2
        found[f"final_layer.adaLN_modulation.1.{kind}"] = torch.cat([scale_first[half:], scale_first[:half]])
    for i in range(transformer.config.num_layers):
        here, there = f"transformer_blocks.{i}", f"double_blocks.{i}"
        for stream, norm, qkv, out, added, mlp in (
            ("img", "norm1", ("to_q", "to_k", "to_v"), "to_out.0", "", "ff"),
            ("txt", "norm1_context", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out", "added_", "ff_context"),
        ):
            take(f"{there}.{stream}_mod.lin", f"{here}.{norm}.linear")
            take(f"{there}.{stream}_attn.qkv", *(f"{here}.attn.{name}" for name in qkv))
            take(f"{there}.{stream}_attn.norm.query_norm", f"{here}.attn.norm_{added}q", kinds=scale)
            take(f"{there}.{stream}_attn.norm.key_norm", f"{here}.attn.norm_{added}k", kinds=scale)
            take(f"{there}.{stream}_attn.proj", f"{here}.attn.{out}")
            take(f"{there}.{stream}_mlp.0", f"{here}.{mlp}.net.0.proj")
            take(f"{there}.{stream}_mlp.2", f"{here}.{mlp}.net.2")
    for i in range(transformer.config.num_single_layers):
        here, there = f"single_transformer_blocks.{i}", f"single_blocks.{i}"
        take(f"{there}.linear1", *(f"{here}.{name}" for name in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")))
        take(f"{there}.linear2", f"{here}.proj_out")
        take(f"{there}.modulation.lin", f"{here}.norm.linear")
        take(f"{there}.norm.query_norm", f"{here}.attn.norm_q", kinds=scale)
        take(f"{there}.norm.key_norm", f"{here}.attn.norm_k", kinds=scale)
    assert not own, f"not in the original: {list(own)[:3]}"
    return found


_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def unet_original(unet: UNet2DConditionModel) -> Tensors:
    """The tensors of `openaimodel.py` of CompVis and Stability, without a prefix."""
    layers, levels = unet.config.layers_per_block, len(unet.config.block_out_channels)
    places = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    for level in range(levels):
        for layer in range(layers):
            block = (layers + 1) * level + layer + 1
            places[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{block}.0"
            places[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{block}.1"
        places[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{(layers + 1) * (level + 1)}.0.op"
        for layer in range(layers + 1):
            block = (layers + 1) * level + layer
            places[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{block}.0"
            places[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{block}.1"
        after = 2 if hasattr(unet.up_blocks[level], "attentions") else 1
        places[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{(layers + 1) * level + layers}.{after}.conv"
    return {_placed(name, places, _RESNET): tensor for name, tensor in unet.state_dict().items()}


def vae_original(vae: AutoencoderKL) -> Tensors:
    """The tensors of `autoencoder.py` of CompVis and Stability, without a prefix."""
    levels = len(vae.config.block_out_channels)
    places = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for side, blocks in (("encoder", "down"), ("decoder", "up")):
        places |= {f"{side}.{name}": f"{side}.{name}" for name in ("conv_in", "conv_out")}
        places[f"{side}.conv_norm_out"] = f"{side}.norm_out"
        places[f"{side}.mid_block.attentions.0"] = f"{side}.mid.attn_1"
        for place in range(2):
            places[f"{side}.mid_block.resnets.{place}"] = f"{side}.mid.block_{place + 1}"
        for level in range(levels):
            there = level if side == "encoder" else levels - 1 - level
            for layer in range(vae.config.layers_per_block + (side == "decoder")):
                places[f"{side}.{blocks}_blocks.{level}.resnets.{layer}"] = f"{side}.{blocks}.{there}.block.{layer}"
            sampler = f"{blocks}sample"
            places[f"{side}.{blocks}_blocks.{level}.{sampler}rs.0.conv"] = f"{side}.{blocks}.{there}.{sampler}.conv"
    attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    parts = {**attention, "conv_shortcut": "nin_shortcut"}
    found = {}
    for name, tensor in vae.state_dict().items():
        there = _placed(name, places, parts)
        is_conv = ".attn_1." in there and there.endswith("weight") and "norm" not in there
        found[there] = tensor[:, :, None, None] if is_conv else tensor
    return found


def _placed(name: str, places: Mapping[str, str], parts: Mapping[str, str]) -> str:
    """The name of a tensor, whose module is that of the longest of `places` and perhaps one of the `parts` of it."""
    module, kind = name.rsplit(".", 1)
    place = max((one for one in places if module == one or module.startswith(f"{one}.")), key=len)
    inner = module.removeprefix(place).removeprefix(".")
    return ".".join(one for one in (places[place], parts.get(inner, inner), kind) if one)


def clip_original(encoder: nn.Module) -> Tensors:
    """A CLIP text encoder in transformers' names as they always were, `text_model` before all."""
    return {f"text_model.{name.removeprefix('text_model.')}": tensor for name, tensor in encoder.state_dict().items()}


def open_clip_original(encoder: CLIPTextModelWithProjection) -> Tensors:
    """A text encoder in open_clip's names: query, key and value in one, the projection the other way round."""
    own = encoder.state_dict()
    found = {
        "positional_embedding": own["text_model.embeddings.position_embedding.weight"],
        "token_embedding.weight": own["text_model.embeddings.token_embedding.weight"],
        "ln_final.weight": own["text_model.final_layer_norm.weight"],
        "ln_final.bias": own["text_model.final_layer_norm.bias"],
        "text_projection": own["text_projection.weight"].T,
        "logit_scale": torch.tensor(4.6),
    }
    parts = {
        "layer_norm1": "ln_1",
        "layer_norm2": "ln_2",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
        "self_attn.out_proj": "attn.out_proj",
    }
    for i in range(encoder.config.num_hidden_layers):
        here, there = f"text_model.encoder.layers.{i}", f"transformer.resblocks.{i}"
        for kind in ("weight", "bias"):
            fused = [own[f"{here}.self_attn.{one}_proj.{kind}"] for one in "qkv"]
            found[f"{there}.attn.in_proj_{kind}"] = torch.cat(fused)
            found |= {f"{there}.{name}.{kind}": own[f"{here}.{part}.{kind}"] for part, name in parts.items()}
    return found


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {f"{prefix}{name}": tensor.contiguous() for name, tensor in tensors.items()}


# --- tiny bases with UNets, random weights ------------------------------------------------------------------------


def tiny_unet_base(folder: Path, *, xl: bool, seed: int = 0, dtype: torch.dtype = torch.float16) -> Path:
    """A base in diffusers' layout with the real classes of Stable Diffusion 1.5 or XL, without vocabularies."""
    torch.manual_seed(seed)
    encoder = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 99,
        "max_position_embeddings": 77, "projection_dim": 32, "bos_token_id": 97, "eos_token_id": 98,
    }  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D") if xl else ("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D") if xl else ("UpBlock2D", "CrossAttnUpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=(2, 4) if xl else 8,
        transformer_layers_per_block=(1, 2) if xl else 1,
        cross_attention_dim=64 if xl else 32,
        use_linear_projection=xl,
        addition_embed_type="text_time" if xl else None,
        addition_time_embed_dim=8 if xl else None,
        projection_class_embeddings_input_dim=6 * 8 + 32 if xl else None,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(16, 32),
        norm_num_groups=4,
    )
    encoders: dict[str, CLIPTextModel | CLIPTextModelWithProjection] = {
        "text_encoder": CLIPTextModel(CLIPTextConfig(**encoder))
    }
    if xl:
        encoders["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**encoder))
    index: dict[str, object] = {"_class_name": "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline"}
    for name, model in {"unet": unet, "vae": vae, **encoders}.items():
        model.to(dtype).save_pretrained(folder / name)
        index[name] = ["transformers" if name in encoders else "diffusers", type(model).__name__]
    for name, file in (("scheduler", "scheduler_config.json"), ("tokenizer", "tokenizer_config.json")):
        (folder / name).mkdir()
        (folder / name / file).write_text('{"prediction_type": "epsilon"}')
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def all_in_one(folder: Path, *, xl: bool, dtype: torch.dtype = torch.float16) -> Tensors:
    """All of such a base in one file, as such bases are published."""
    vae = prefixed("first_stage_model.", vae_original(AutoencoderKL.from_pretrained(folder / "vae", dtype=dtype)))
    unet = unet_original(UNet2DConditionModel.from_pretrained(folder / "unet", dtype=dtype))
    clip = clip_original(CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype))
    clip["text_model.embeddings.position_ids"] = torch.arange(77)[None]  # a buffer of old
    found = {**prefixed("model.diffusion_model.", unet), **vae, "alphas_cumprod": torch.ones(1000)}
    if not xl:
        return {**found, **prefixed("cond_stage_model.transformer.", clip)}
    second = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2", dtype=dtype)
    found |= prefixed("conditioner.embedders.0.transformer.", clip)
    return {**found, **prefixed("conditioner.embedders.1.model.", open_clip_original(second))}
