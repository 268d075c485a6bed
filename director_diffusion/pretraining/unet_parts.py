"""The parts of SDXL and SD 1.5, untrained: pipelines of the sizes that a spec gives.

Belongs here: configurations of the real classes.  Training is `denoiser`'s.
"""

import math
from typing import Any

from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from director_diffusion.families.unet.denoising import process_of
from director_diffusion.families.unet.encoding import embed
from director_diffusion.pretraining.denoiser_specs import CLIP_LENGTH, LEAST_CHANNELS, UnetPart
from director_diffusion.pretraining.student import Student
from director_diffusion.pretraining.tokenizers import clip_tokenizer
from director_diffusion.specs import Timesteps

TEXT_HEAD = 32  # width of an attention head in the text encoders
TIMESTEPS = Timesteps(kind="uniform", shift="none")
NOISE: dict[str, Any] = {  # as SD 1.5's and SDXL's
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
SIZES = 6  # numbers of `time_ids`
SIZE_WIDTH = 16  # of each one's embedding


def unet_student(part: UnetPart, *, vae: AutoencoderKL, device: str) -> Student:
    """An untrained pipeline, and how it is taught."""
    pipeline: Any = untrained_pipeline(part, vae=vae).to(device)
    learning = ("unet", "text_encoder", "text_encoder_2") if part.kind == "sdxl" else ("unet", "text_encoder")
    return Student(
        pipeline=pipeline,
        denoiser=pipeline.unet,
        modules={name: getattr(pipeline, name) for name in learning},
        embed=lambda prompts: embed(pipeline, prompts),
        process=process_of(DDPMScheduler.from_config(pipeline.scheduler.config), "the base").to(pipeline.device),
        timesteps=TIMESTEPS,
        tokenizer=pipeline.tokenizer,
    )


def untrained_pipeline(part: UnetPart, *, vae: AutoencoderKL) -> StableDiffusionXLPipeline | StableDiffusionPipeline:
    """A pipeline around `vae`, its UNet and text encoders at random from torch's generator."""
    channels = vae.config.latent_channels
    if part.kind == "sdxl":
        return StableDiffusionXLPipeline(
            vae=vae,
            text_encoder=CLIPTextModel(_clip_config(part)).eval(),
            text_encoder_2=CLIPTextModelWithProjection(_clip_config(part)).eval(),
            tokenizer=clip_tokenizer(),
            tokenizer_2=clip_tokenizer(),
            unet=_untrained_unet(
                part,
                channels,
                with_attention=(False, *(True,) * (len(part.channels) - 1)),
                cross_attention_dim=2 * part.text_width,
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=SIZE_WIDTH,
                projection_class_embeddings_input_dim=SIZES * SIZE_WIDTH + part.text_width,
            ),
            scheduler=EulerDiscreteScheduler(timestep_spacing="leading", **NOISE),
            force_zeros_for_empty_prompt=True,
            add_watermarker=False,
        )
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(_clip_config(part)).eval(),
        tokenizer=clip_tokenizer(),
        unet=_untrained_unet(
            part,
            channels,
            with_attention=(*(True,) * (len(part.channels) - 1), False),
            cross_attention_dim=part.text_width,
        ),
        scheduler=PNDMScheduler(skip_prk_steps=True, set_alpha_to_one=False, **NOISE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def unshifted(vae: AutoencoderKL) -> AutoencoderKL:
    """The same VAE, its latents scaled to a mean square of 1 and not shifted, as these pipelines take them."""
    shift, scale = vae.config.shift_factor or 0.0, vae.config.scaling_factor
    vae.register_to_config(shift_factor=None, scaling_factor=round(1 / math.hypot(1 / scale, shift), 5))
    return vae


def _untrained_unet(
    part: UnetPart, channels: int, *, with_attention: tuple[bool, ...], **config: Any
) -> UNet2DConditionModel:
    """`with_attention`: by level, from the largest pictures to the smallest."""
    return UNet2DConditionModel(
        in_channels=channels,
        out_channels=channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if there else "DownBlock2D" for there in with_attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if there else "UpBlock2D" for there in reversed(with_attention)),
        block_out_channels=part.channels,
        layers_per_block=part.layers_per_block,
        transformer_layers_per_block=part.transformer_layers,
        attention_head_dim=tuple(count // part.head_dim for count in part.channels),  # diffusers' name for heads
        norm_num_groups=min(part.channels) // LEAST_CHANNELS,
        **config,
    ).eval()


def _clip_config(part: UnetPart) -> CLIPTextConfig:
    clip: CLIPTokenizer = clip_tokenizer()
    return CLIPTextConfig(
        vocab_size=len(clip),
        hidden_size=part.text_width,
        intermediate_size=2 * part.text_width,
        projection_dim=part.text_width,
        num_hidden_layers=part.text_layers,
        num_attention_heads=part.text_width // TEXT_HEAD,
        max_position_embeddings=CLIP_LENGTH,
        bos_token_id=clip.bos_token_id,
        eos_token_id=clip.eos_token_id,
        pad_token_id=clip.pad_token_id,
    )
