"""Flux's parts, untrained: a pipeline of the sizes that a spec gives.

Belongs here: configurations of the real classes.  Training is `denoiser`'s.
"""

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerBase, T5Config, T5EncoderModel

from director_diffusion.pretraining.denoiser_specs import CLIP_LENGTH, DenoiserPart
from director_diffusion.pretraining.student import Student
from director_diffusion.pretraining.tokenizers import clip_tokenizer, t5_tokenizer
from director_diffusion.processes import Flow
from director_diffusion.specs import Timesteps

TEXT_HEAD = 32  # width of an attention head in both text encoders
TIMESTEPS = Timesteps(shift="none")


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


def flux_student(part: DenoiserPart, *, channels: int, vae: AutoencoderKL | None, device: str) -> Student:
    """An untrained pipeline, and how it is taught."""
    pipeline = untrained_pipeline(part, channels=channels, vae=vae).to(device)
    return Student(
        pipeline=pipeline,
        denoiser=pipeline.transformer,
        modules={
            "transformer": pipeline.transformer,
            "text_encoder": pipeline.text_encoder,
            "text_encoder_2": pipeline.text_encoder_2,
        },
        embed=_Embedder(pipeline, part.prompt_tokens),
        process=Flow(lambda cells: 1.0),
        timesteps=TIMESTEPS,
        tokenizer=pipeline.tokenizer_2,
    )


class _Embedder:
    """Prompts to what the transformer is given; each prompt is split up once."""

    def __init__(self, pipeline: FluxPipeline, prompt_tokens: int):
        self._pipeline, self._prompt_tokens = pipeline, prompt_tokens
        self._tokens: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        clip, t5 = self._batch(prompts)
        pipeline = self._pipeline
        return {
            "pooled_prompt_embeds": pipeline.text_encoder(clip.to(pipeline.device)).pooler_output,
            "prompt_embeds": pipeline.text_encoder_2(t5.to(pipeline.device)).last_hidden_state,
        }

    def _batch(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """CLIP's and T5's token ids (B, L), padded as the pipeline pads them."""
        for prompt in prompts:
            if prompt not in self._tokens:
                pipeline = self._pipeline
                self._tokens[prompt] = (
                    _ids(pipeline.tokenizer, prompt, pipeline.tokenizer_max_length),
                    _ids(pipeline.tokenizer_2, prompt, self._prompt_tokens),
                )
        pairs = [self._tokens[prompt] for prompt in prompts]
        return torch.stack([clip for clip, _ in pairs]), torch.stack([t5 for _, t5 in pairs])


def _ids(tokenizer: PreTrainedTokenizerBase, prompt: str, length: int) -> Tensor:
    ids = tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    return ids[0]
