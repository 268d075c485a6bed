"""Training the denoiser: rectified flow on the VAE's latents, text encoders included.

Belongs here: what a step sees.  The objective is `training.objective`'s, the prediction `families.flux`'s: the mini
base is trained with the very functions that adapters are trained with.
"""

from collections.abc import Iterator, Sequence

import torch
from diffusers import FluxPipeline
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from director_diffusion.families.flux.denoising import predict
from director_diffusion.mini.data import Group, batches
from director_diffusion.mini.loops import optimise
from director_diffusion.mini.train_vae import encode
from director_diffusion.progress import Progress
from director_diffusion.specs import Timesteps
from director_diffusion.training.objective import flow_loss, interpolate, velocity_target
from director_diffusion.training.timesteps import noise_levels

BATCH = 8
LR = 3e-3
PROMPT_TOKENS = 32  # of T5, padding included: room for the longest caption; other lengths may be drawn with
PROMPT_DROPOUT = 0.1  # share of samples on the empty prompt, which classifier-free guidance needs
TIMESTEPS = Timesteps(shift="none")


def train_denoiser(pipeline: FluxPipeline, groups: Sequence[Group], steps: int, progress: Progress) -> None:
    """Train transformer and both text encoders in place, on the latents of a VAE that stays as it is."""
    parts = (pipeline.transformer, pipeline.text_encoder, pipeline.text_encoder_2)
    for part in parts:
        part.train()
    optimise(
        (parameter for part in parts for parameter in part.parameters()),
        _losses(pipeline, groups, steps),
        steps=steps,
        lr=LR,
        title="training the denoiser",
        progress=progress,
    )
    for part in parts:
        part.eval()


def _losses(pipeline: FluxPipeline, groups: Sequence[Group], steps: int) -> Iterator[Tensor]:
    config = pipeline.vae.config
    latents = [(latent - config.shift_factor) * config.scaling_factor for latent in encode(pipeline.vae, groups)]
    prompts = [_tokens(pipeline, group.captions) for group in groups]
    empty = _tokens(pipeline, ("",))
    for group, rows in batches([len(latent) for latent in latents], BATCH, steps):
        x0 = latents[group][rows]
        dropped = torch.rand(len(rows), 1) < PROMPT_DROPOUT
        clip, t5 = (torch.where(dropped, no, ids[rows]) for ids, no in zip(prompts[group], empty, strict=True))
        prompt = {
            "pooled_prompt_embeds": pipeline.text_encoder(clip).pooler_output,
            "prompt_embeds": pipeline.text_encoder_2(t5).last_hidden_state,
        }
        t = noise_levels(torch.randn(len(rows)), TIMESTEPS, 1.0)
        noise = torch.randn_like(x0)
        velocity = predict(pipeline.transformer, interpolate(x0, noise, t), t, prompt, 1.0)
        yield flow_loss(velocity, velocity_target(x0, noise)).mean()


def _tokens(pipeline: FluxPipeline, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
    """CLIP's and T5's token ids, padded as the pipeline pads them."""

    def ids(tokenizer: PreTrainedTokenizerBase, length: int) -> Tensor:
        return tokenizer(
            list(captions), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids

    return ids(pipeline.tokenizer, pipeline.tokenizer_max_length), ids(pipeline.tokenizer_2, PROMPT_TOKENS)
