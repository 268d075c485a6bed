"""Flux's parts, untrained: a pipeline of the sizes that a spec gives.

Belongs here: configurations of the real classes.  Training is `denoiser`'s.
"""

from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from director_diffusion.pretraining.specs import DenoiserPart
from director_diffusion.pretraining.tokenizers import CLIP_LENGTH, clip_tokenizer, t5_tokenizer

TEXT_HEAD = 32  # width of an attention head in both text encoders


def untrained_pipeline(part: DenoiserPart, *, channels: int, vae: AutoencoderKL | None) -> FluxPipeline:
    """A FluxPipeline around `vae`, its transformer and text encoders at random from torch's generator.

    `channels` are those of what the transformer denoises: the VAE's latents, or pixels.
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
        vae=vae,
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(clip),
                hidden_size=part.pooled_width,
                intermediate_size=2 * part.pooled_width,
                projection_dim=part.pooled_width,
                num_hidden_layers=part.text_layers,
                num_attention_heads=max(part.pooled_width // TEXT_HEAD, 1),
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
                d_model=part.text_width,
                d_kv=TEXT_HEAD,
                d_ff=2 * part.text_width,
                num_layers=part.text_layers,
                num_heads=max(part.text_width // TEXT_HEAD, 1),
                feed_forward_proj="gated-gelu",
                dropout_rate=0.0,
                tie_word_embeddings=False,
            )
        ).eval(),
        tokenizer_2=t5,
        transformer=FluxTransformer2DModel(
            # On pixels, its own configuration says which squares it was trained on (`families.flux_pixel`).
            **({"patch_size": part.patch, "out_channels": channels} if vae is None else {"patch_size": 1}),
            in_channels=channels * part.patch**2,
            num_layers=part.layers,
            num_single_layers=part.single_layers,
            attention_head_dim=part.head_dim,
            num_attention_heads=part.heads,
            joint_attention_dim=part.text_width,
            pooled_projection_dim=part.pooled_width,
            guidance_embeds=False,
            axes_dims_rope=part.rope,
        ).eval(),
    )
