"""The VAE's lesson: pictures to latents and back.

Belongs here: its size, its loss, and the constants that centre and scale its latents.
"""

from collections.abc import Mapping, Sequence

import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from director_diffusion.errors import SpecError
from director_diffusion.pretraining.data import Group, choose_rows, to_unit
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.part_run import PartRun, trained_here
from director_diffusion.pretraining.pictures import load_groups
from director_diffusion.pretraining.specs import VaePart
from director_diffusion.pretraining.vae_start import start_linear
from director_diffusion.specs import Base

SHOWN = 6  # pictures in a preview
SCALED_ON = 512  # pictures of each size that the latents' scale is measured on


def build_vae(base: Base, run: PartRun) -> None:
    """Train the VAE that the base's spec describes; `run.out` becomes a folder in diffusers' layout."""
    spec = trained_here(base)
    if not isinstance(spec.vae, VaePart):
        raise SpecError(base.slug, "has no VAE to train", "Give trained_here.vae in the base's file.")
    training, held_out = load_groups(base, spec.vae, run)
    with seeded("vae", spec.seed, "start"):
        vae = untrained_vae(spec.vae).to(run.device)
    lesson = VaeLesson(vae, training, held_out, spec.vae)
    run.train(lesson, spec.vae, title="training the VAE", seed=spec.seed)
    vae.half().float()  # what is kept is what the scale is measured on
    set_scale(vae, encode_means(vae, [group.head(SCALED_ON) for group in training]))
    vae.half().save_pretrained(run.out)


def untrained_vae(part: VaePart) -> AutoencoderKL:
    """An AutoencoderKL that already averages and repeats pixels, the rest at random from torch's generator."""
    levels = len(part.channels)
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=part.channels,
        layers_per_block=part.layers_per_block,
        norm_num_groups=2,
        latent_channels=part.latent_channels,
        sample_size=64,
        scaling_factor=1.0,
        shift_factor=0.0,
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=False,
    )
    start_linear(vae)
    return vae


class VaeLesson:
    """See `loop.Lesson`.  L1 and L2 on pixels, and a little of the KL divergence to a normal distribution."""

    def __init__(self, vae: AutoencoderKL, groups: Sequence[Group], held_out: Sequence[Group], part: VaePart):
        self.vae, self._groups, self._held_out, self._part = vae, groups, held_out, part

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"vae": self.vae}

    def loss(self, step: int) -> Tensor:
        group, rows = choose_rows([len(group) for group in self._groups], self._part.batch_size)
        pixels = to_unit(self._groups[group].pixels[rows]).to(self.vae.device)
        if torch.rand(()) < 0.5:
            pixels = pixels.flip(-1)
        posterior = self.vae.encode(pixels).latent_dist
        decoded = self.vae.decode(posterior.sample()).sample.float()
        kl = posterior.kl().sum() / posterior.mean.numel()
        return F.l1_loss(decoded, pixels) + F.mse_loss(decoded, pixels) + self._part.kl_weight * kl

    def preview(self) -> Image.Image:
        """Pictures above, held-out ones where there are any, and what comes back of them below."""
        pixels = to_unit((self._held_out or self._groups)[0].pixels[:SHOWN]).to(self.vae.device)
        decoded = self.vae.decode(self.vae.encode(pixels).latent_dist.mean).sample.float().clamp(-1, 1)
        grid = make_grid(torch.cat([pixels, decoded]), nrow=len(pixels), padding=2, normalize=True, value_range=(-1, 1))
        return to_pil_image(grid.cpu())


@torch.no_grad()
def encode_means(vae: AutoencoderKL, groups: Sequence[Group]) -> list[Tensor]:
    """Posterior means, (N, C, h, w) for every group, neither shifted nor scaled, on the CPU."""
    return [
        torch.cat([vae.encode(to_unit(part).to(vae.device)).latent_dist.mean.cpu() for part in group.pixels.split(64)])
        for group in groups
    ]


def set_scale(vae: AutoencoderKL, latents: Sequence[Tensor]) -> None:
    """Set shift and scale so that these latents have mean 0 and deviation 1."""
    flat = torch.cat([latent.flatten() for latent in latents]).double()
    vae.register_to_config(shift_factor=round(float(flat.mean()), 5), scaling_factor=round(1 / float(flat.std()), 5))
