"""Bases: one with random weights, in the sizes of a real one.  A process of its own.

    python -m benchmarks.peers.bases FOLDER flux|sdxl real|tiny cpu|cuda

Writes a whole base in diffusers' layout, in bfloat16.  The weights are made on the device and mean nothing: a step
takes the same time with them.  Tokenizers are those of models/mini, whose vocabularies the embeddings hold.
`tiny` has the real classes with next to no weights, to try a benchmark where there is no GPU.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from benchmarks.steps import shapes

MINI = Path(__file__).resolve().parent.parent.parent / "models" / "mini" / "base"
Sizes = dict[str, Any]

FLUX: dict[str, Sizes] = {
    "real": shapes.FLUX,
    "tiny": {
        "guidance_embeds": True,
        "in_channels": 64,
        "num_layers": 1,
        "num_single_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 32,
        "pooled_projection_dim": 32,
        "axes_dims_rope": (4, 6, 6),
    },
}
T5: dict[str, Sizes] = {
    "real": {"d_model": 4096, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "d_kv": 64},
    "tiny": {"d_model": 32, "d_ff": 64, "num_layers": 1, "num_heads": 2, "d_kv": 16},
}
CLIP_L: dict[str, Sizes] = {
    "real": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    "tiny": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
}
CLIP_G: dict[str, Sizes] = {
    "real": {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 20,
        "projection_dim": 1280,
        "hidden_act": "gelu",
    },
    "tiny": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 32,
    },
}
UNET: dict[str, Sizes] = {
    "real": shapes.SDXL_UNET,
    "tiny": {
        "block_out_channels": (32, 32, 64),
        "layers_per_block": 1,
        "transformer_layers_per_block": (1, 1, 1),
        "attention_head_dim": (2, 2, 4),
        "cross_attention_dim": 64,
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 32 + 6 * 8,
    },
}
VAE: dict[str, Sizes] = {
    "real": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2},
    "tiny": {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 2},
}


def vae(size: str, **own: Any) -> AutoencoderKL:
    """Three halvings, as both families have."""
    down, up = ("DownEncoderBlock2D",) * 4, ("UpDecoderBlock2D",) * 4
    return AutoencoderKL(down_block_types=down, up_block_types=up, **VAE[size], **own)


def clip_config(tokenizer: CLIPTokenizer, **sizes: Any) -> CLIPTextConfig:
    """Of CLIP's own vocabulary's size; where a prompt ends is the tokenizer's."""
    return CLIPTextConfig(
        vocab_size=49408, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, **sizes
    )


def flux(size: str, tokenizer: CLIPTokenizer) -> FluxPipeline:
    t5 = T5Config(vocab_size=32128, feed_forward_proj="gated-gelu", is_encoder_decoder=False, **T5[size])
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=vae(
            size,
            latent_channels=16,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=CLIPTextModel(clip_config(tokenizer, **CLIP_L[size])),
        tokenizer=tokenizer,
        text_encoder_2=T5EncoderModel(t5),
        tokenizer_2=T5TokenizerFast.from_pretrained(MINI / "tokenizer_2"),
        transformer=FluxTransformer2DModel(**FLUX[size]),
    )


def sdxl(size: str, tokenizer: CLIPTokenizer) -> StableDiffusionXLPipeline:
    unet = UNet2DConditionModel(**{**shapes.SDXL_UNET, **UNET[size]})
    return StableDiffusionXLPipeline(
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        vae=vae(size, latent_channels=4, scaling_factor=0.13025),
        text_encoder=CLIPTextModel(clip_config(tokenizer, **CLIP_L[size])),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(clip_config(tokenizer, **CLIP_G[size])),
        tokenizer_2=tokenizer,
        unet=unet,
        add_watermarker=False,
    )


def main(folder: Path, family: str, size: str, device: str) -> None:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    tokenizer = CLIPTokenizer.from_pretrained(MINI / "tokenizer")
    with torch.device(device):
        pipeline = {"flux": flux, "sdxl": sdxl}[family](size, tokenizer)
    pipeline.save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:5])
