"""Training the VAE: pictures to latents and back.

Belongs here: its loss, and the constants that centre and scale its latents.
"""

from collections.abc import Iterator, Sequence

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from director_diffusion.mini.data import Group, batches
from director_diffusion.mini.loops import optimise
from director_diffusion.mini.vae_start import start_linear
from director_diffusion.progress import Progress

BATCH = 8
LR = 2e-3
KL_WEIGHT = (
    1e-4  # per latent number against per colour value: keeps latents near a normal distribution, costs no detail
)


def train_vae(vae: AutoencoderKL, groups: Sequence[Group], steps: int, progress: Progress) -> None:
    """Train in place for `steps`, then set shift and scale so that latents have mean 0 and deviation 1."""
    start_linear(vae)
    vae.train()
    optimise(
        vae.parameters(), _losses(vae, groups, steps), steps=steps, lr=LR, title="training the VAE", progress=progress
    )
    vae.eval()
    latents = torch.cat([latent.flatten() for latent in encode(vae, groups)])
    vae.register_to_config(
        shift_factor=round(float(latents.mean()), 5), scaling_factor=round(1 / float(latents.std()), 5)
    )


@torch.no_grad()
def encode(vae: AutoencoderKL, groups: Sequence[Group]) -> list[Tensor]:
    """Posterior means, (N, C, h, w) for every group, neither shifted nor scaled."""
    return [torch.cat([vae.encode(part).latent_dist.mean for part in group.pixels.split(32)]) for group in groups]


def _losses(vae: AutoencoderKL, groups: Sequence[Group], steps: int) -> Iterator[Tensor]:
    for group, rows in batches([len(group.pixels) for group in groups], BATCH, steps):
        pixels = groups[group].pixels[rows]
        if torch.rand(()) < 0.5:
            pixels = pixels.flip(-1)
        posterior = vae.encode(pixels).latent_dist
        decoded = vae.decode(posterior.sample()).sample
        kl = posterior.kl().sum() / posterior.mean.numel()
        yield F.l1_loss(decoded, pixels) + F.mse_loss(decoded, pixels) + KL_WEIGHT * kl
