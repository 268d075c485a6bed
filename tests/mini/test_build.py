"""Building: a few steps make whole folders, the same ones for the same seed."""

from pathlib import Path

import open_clip
import pytest
import torch
from diffusers import FluxPipeline
from transformers import Qwen2_5_VLForConditionalGeneration

from director_diffusion.hashing import hash_folder
from director_diffusion.mini.architecture import untrained_base
from director_diffusion.mini.build import build_part
from director_diffusion.mini.data import draw_pictures, grouped
from director_diffusion.mini.train_vae import train_vae
from director_diffusion.mini.vae_start import start_linear
from director_diffusion.progress import Silent
from director_diffusion.specs import BuiltSource


def _source(part: str, seed: int = 0) -> BuiltSource:
    return BuiltSource(kind="built", part=part, seed=seed, vae_steps=3, denoiser_steps=2, embedder_steps=2)  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["base", "captioner", "embedder"])
def test_a_seed_gives_the_same_part(part: str, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        build_part(_source(part, seed), tmp_path / name, Silent())
    assert hash_folder(tmp_path / "one") == hash_folder(tmp_path / "again") != hash_folder(tmp_path / "other")


def test_parts_load_with_the_real_classes(tmp_path: Path) -> None:
    for part in ("base", "captioner", "embedder"):
        build_part(_source(part), tmp_path / part, Silent())
    pipeline = FluxPipeline.from_pretrained(tmp_path / "base", local_files_only=True)
    assert pipeline.vae.config.scaling_factor != untrained_base().vae.config.scaling_factor
    Qwen2_5_VLForConditionalGeneration.from_pretrained(tmp_path / "captioner", local_files_only=True)
    open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'embedder'}", require_pretrained=True)


def test_latents_are_centred_and_scaled() -> None:
    vae = untrained_base().vae
    groups = grouped(draw_pictures(36, 0, Silent()))
    train_vae(vae, groups, 3, Silent())
    latents = torch.cat([vae.encode(group.pixels).latent_dist.mean.flatten() for group in groups])
    scaled = (latents.detach() - vae.config.shift_factor) * vae.config.scaling_factor
    assert abs(float(scaled.mean())) < 0.01
    assert abs(float(scaled.std()) - 1) < 0.01


@torch.no_grad()
def test_the_vae_starts_by_averaging_and_repeating() -> None:
    vae = untrained_base().vae
    pictures = torch.cat([group.pixels for group in grouped(draw_pictures(36, 1, Silent()))[:1]])

    def error() -> float:
        return float((vae.decode(vae.encode(pictures).latent_dist.mean).sample - pictures).square().mean())

    before = error()
    start_linear(vae)
    assert error() < before / 4
