"""Architecture: the sizes of the small model set, and writing its parts untrained.

Belongs here: configurations, and the folder layouts that the real loaders expect.  Training is `train_*`'s.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import open_clip
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transform import PreprocessCfg
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    T5Config,
    T5EncoderModel,
)

from director_diffusion.mini.chat_template import CHAT_TEMPLATE
from director_diffusion.mini.tokenizers import CLIP_LENGTH, clip_tokenizer, qwen_tokenizer, t5_tokenizer

LATENT_CHANNELS = 8
TEXT_WIDTH = 96  # of T5's tokens
POOLED_WIDTH = 64  # of CLIP's pooled text
EMBEDDER_SIDE = 64  # pixels
EMBEDDER_CONTEXT = 40  # tokens


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch draws from `seed` inside, and goes on as if nothing had happened afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def save_untrained_base(folder: Path, seed: int = 0) -> None:
    """Write a FluxPipeline in diffusers' layout: real classes, random weights, 1.5 million parameters."""
    with seeded(seed):
        untrained_base().save_pretrained(folder)


def untrained_base() -> FluxPipeline:
    """A FluxPipeline with random weights from torch's generator.

    The VAE halves twice and the transformer packs 2 × 2 latents: a cell of its grid is 8 × 8 pixels.
    """
    clip, t5 = clip_tokenizer(), t5_tokenizer()
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(  # as FLUX.1-dev's
            num_train_timesteps=1000,
            shift=3.0,
            use_dynamic_shifting=True,
            base_shift=0.5,
            max_shift=1.15,
            base_image_seq_len=256,
            max_image_seq_len=4096,
        ),
        vae=AutoencoderKL(
            in_channels=3,
            out_channels=3,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(16, 16, 32),
            layers_per_block=1,
            norm_num_groups=2,
            latent_channels=LATENT_CHANNELS,
            sample_size=64,
            scaling_factor=0.5,
            shift_factor=0.1,
            use_quant_conv=False,
            use_post_quant_conv=False,
            mid_block_add_attention=False,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(clip),
                hidden_size=POOLED_WIDTH,
                intermediate_size=2 * POOLED_WIDTH,
                projection_dim=POOLED_WIDTH,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=CLIP_LENGTH,
                bos_token_id=clip.bos_token_id,
                eos_token_id=clip.eos_token_id,
                pad_token_id=clip.pad_token_id,
            )
        ).eval(),
        tokenizer=clip,
        text_encoder_2=T5EncoderModel(
            T5Config(
                vocab_size=len(t5),
                d_model=TEXT_WIDTH,
                d_kv=32,
                d_ff=2 * TEXT_WIDTH,
                num_layers=2,
                num_heads=3,
                feed_forward_proj="gated-gelu",
                dropout_rate=0.0,
                tie_word_embeddings=False,
            )
        ).eval(),
        tokenizer_2=t5,
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=4 * LATENT_CHANNELS,
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=24,
            num_attention_heads=4,
            joint_attention_dim=TEXT_WIDTH,
            pooled_projection_dim=POOLED_WIDTH,
            guidance_embeds=False,
            axes_dims_rope=(4, 10, 10),
        ).eval(),
    )


def save_untrained_captioner(folder: Path, seed: int = 0) -> None:
    """Write a Qwen2.5-VL with its whole processor in transformers' layout: real classes, random weights."""
    with seeded(seed):
        model, processor = untrained_captioner()
        model.save_pretrained(folder)
        processor.save_pretrained(folder)


def untrained_captioner() -> tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]:
    """A Qwen2.5-VL with random weights from torch's generator, and its processor."""
    tokenizer = qwen_tokenizer(CHAT_TEMPLATE)
    width = 96
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in _QWEN_ROLES}
    special = {"bos_token_id": ids["endoftext"], "eos_token_id": ids["im_end"], "pad_token_id": ids["endoftext"]}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "max_position_embeddings": tokenizer.model_max_length,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]},
            "tie_word_embeddings": True,
            **special,
        },
        vision_config={
            "depth": 3,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [2],
            "out_hidden_size": width,
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=True,
        **special,
    )
    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig(
        bos_token_id=ids["endoftext"], eos_token_id=[ids["im_end"], ids["endoftext"]], pad_token_id=ids["endoftext"]
    )
    pixels: dict[str, Any] = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**pixels),
        chat_template=CHAT_TEMPLATE,
    )
    return model, processor


_QWEN_ROLES = ("endoftext", "im_end", "image_pad", "video_pad", "vision_start", "vision_end")


def save_untrained_embedder(folder: Path, seed: int = 0) -> None:
    """Write an open_clip model, with its tokenizer, as a folder that `local-dir:` reads."""
    with seeded(seed):
        save_embedder(untrained_embedder(), folder)


def untrained_embedder() -> open_clip.CLIP:
    """An open_clip model with random weights from torch's generator."""
    return open_clip.CLIP(**_embedder_config())


def save_embedder(model: open_clip.CLIP, folder: Path) -> None:
    """Write weights, configuration and tokenizer of an embedder of this module's size."""
    folder.mkdir(parents=True, exist_ok=True)
    clip_tokenizer(EMBEDDER_CONTEXT).save_pretrained(folder)
    config = _embedder_config()
    # The name says that the folder holds a tokenizer of its own; open_clip reads it from the folder, whatever the name.
    config["text_cfg"]["hf_tokenizer_name"] = "clip"
    text = json.dumps({"model_cfg": config, "preprocess_cfg": asdict(embedder_preprocessing())}, indent=2)
    (folder / "open_clip_config.json").write_text(text + "\n", encoding="utf-8")
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors", metadata={"format": "pt"})


def embedder_preprocessing() -> PreprocessCfg:
    """How open_clip makes pictures ready for the embedder: the centre square, in OpenAI's colour statistics."""
    return PreprocessCfg(size=EMBEDDER_SIDE, mean=OPENAI_DATASET_MEAN, std=OPENAI_DATASET_STD)


def _embedder_config() -> dict[str, Any]:
    return {
        "embed_dim": 64,
        "vision_cfg": {"image_size": EMBEDDER_SIDE, "layers": 3, "width": 96, "head_width": 32, "patch_size": 8},
        "text_cfg": {
            "context_length": EMBEDDER_CONTEXT,
            "vocab_size": len(clip_tokenizer()),
            "width": 64,
            "heads": 2,
            "layers": 2,
        },
    }
