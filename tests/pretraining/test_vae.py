"""The VAE's lesson: it starts by averaging and repeating pixels, learns, and keeps what it was scaled by."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from director_diffusion.hashing import hash_folder
from director_diffusion.pretraining.data import to_unit
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.pictures import load_groups
from director_diffusion.pretraining.specs import LEAST_CHANNELS, LEAST_LATENT_CHANNELS, VaePart
from director_diffusion.pretraining.vae import VaeLesson, build_vae, encode_means, untrained_vae
from director_diffusion.pretraining.vae_start import CARRIED, COLOURS
from tests.pretraining.small_bases import VAE, run_in, small_base


def test_a_folder_of_diffusers_with_centred_latents(tmp_path: Path) -> None:
    run, shown = run_in(tmp_path)
    build_vae(small_base(), run)
    assert shown == [2, 4]
    vae = AutoencoderKL.from_pretrained(run.out, local_files_only=True)
    training, _ = load_groups(small_base(), VaePart.model_validate(VAE), run)
    latents = torch.cat([latent.flatten() for latent in encode_means(vae, training)])
    scaled = (latents - vae.config.shift_factor) * vae.config.scaling_factor
    assert abs(float(scaled.mean())) < 0.01
    assert abs(float(scaled.std()) - 1) < 0.01
    weights = load_file(run.out / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


def test_a_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        build_vae(small_base(seed=seed), run_in(tmp_path / name)[0])
    one, again, other = (hash_folder(tmp_path / name / "out") for name in ("one", "again", "other"))
    assert one == again != other


def test_it_learns(tmp_path: Path) -> None:
    part = VaePart.model_validate({**VAE, "steps": 150, "batch_size": 8})
    base = small_base(vae=part.model_dump())
    run, _ = run_in(tmp_path)
    training, held_out = load_groups(base, part, run)
    with seeded("training"):
        start = untrained_vae(part)
    build_vae(base, run)
    trained = AutoencoderKL.from_pretrained(run.out, local_files_only=True)

    def error(vae: AutoencoderKL) -> float:
        with torch.no_grad():
            pixels = to_unit(held_out[0].pixels)
            return float((vae.decode(vae.encode(pixels).latent_dist.mean).sample - pixels).square().mean())

    assert error(trained) < 0.5 * error(start)
    assert VaeLesson(trained, training, held_out, part).preview().height == 2 * (held_out[0].pixels.shape[-2] + 2) + 2


def test_what_is_held_out_is_shown_or_else_what_is_trained_on(tmp_path: Path) -> None:
    part = VaePart.model_validate(VAE)
    groups, _ = load_groups(small_base(), part, run_in(tmp_path)[0])
    with seeded("start"):
        vae = untrained_vae(part).eval()
    with torch.no_grad():
        shown, held_out, other = (
            VaeLesson(vae, groups, of, part).preview().tobytes() for of in ([], groups, [groups[0].head(2)])
        )
    assert shown == held_out != other


def test_what_the_start_needs_is_what_specs_ask_for() -> None:
    assert (LEAST_CHANNELS, LEAST_LATENT_CHANNELS) == (2 * CARRIED, COLOURS)


@torch.no_grad()
def test_it_starts_by_averaging_and_repeating(tmp_path: Path) -> None:
    part = VaePart.model_validate({**VAE, "channels": [16, 16, 32], "latent_channels": 8})
    groups, _ = load_groups(small_base(), part, run_in(tmp_path)[0])
    pixels = to_unit(groups[0].pixels)

    def error(vae: AutoencoderKL) -> float:
        return float((vae.decode(vae.encode(pixels).latent_dist.mean).sample - pixels).square().mean())

    with seeded("start"):
        started, random = untrained_vae(part), untrained_vae(part)
        for module in random.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.reset_parameters()
    assert error(started) < error(random) / 2
