"""SDXL's and SD 1.5's encoders: equal to diffusers' own pipelines, and clear about what a folder lacks."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from director_diffusion.errors import ModelError
from director_diffusion.families import get_family, longest_count
from director_diffusion.families.base import Placement
from tests.families.unets import FACTOR, TEXT_WIDTH, save_base

PROMPTS = ["nolan style, a red car before two houses at night", "a tree"]


def encoder_of(name: str, folder: Path, **changes: Any) -> Any:
    settings = {"device": "cpu", "dtype": torch.float32, "max_tokens": 77, **changes}
    return get_family(name).load_prompt_encoder(folder, **settings)


def pipeline_of(folder: Path) -> Any:
    return DiffusionPipeline.from_pretrained(folder, local_files_only=True)


# --- the folder --------------------------------------------------------------------------------------------------


def test_a_whole_base_is_one_of_its_own_family(unet_base: tuple[str, Path], mini_base: Path) -> None:
    name, folder = unet_base
    get_family(name).check_folder(folder)
    with pytest.raises(ModelError, match="holds a FluxPipeline, not a StableDiffusion"):
        get_family(name).check_folder(mini_base)
    with pytest.raises(ModelError, match="not a FluxPipeline"):
        get_family("flux").check_folder(folder)


@pytest.mark.parametrize(
    "missing",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "unet/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder_2/model.safetensors",
        "tokenizer_2/tokenizer_config.json",
        "scheduler/scheduler_config.json",
    ],
)
def test_what_a_folder_lacks_is_named(sdxl_base: Path, tmp_path: Path, missing: str) -> None:
    shutil.copytree(sdxl_base, tmp_path / "base")
    (tmp_path / "base" / missing).unlink()
    component, file = missing.split("/")
    with pytest.raises(ModelError, match=f"is not a whole base: {component}/ lacks {file}"):
        get_family("sdxl").check_folder(tmp_path / "base")


@pytest.mark.parametrize(
    ("key", "value"), [("in_channels", 9), ("time_cond_proj_dim", 256), ("addition_embed_type", None)]
)
def test_other_kinds_of_unets_are_refused(sdxl_base: Path, tmp_path: Path, key: str, value: object) -> None:
    shutil.copytree(sdxl_base, tmp_path / "base")
    path = tmp_path / "base/unet/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ModelError, match=f"holds another kind of UNet: its {key} is {value!r}"):
        get_family("sdxl").check_folder(tmp_path / "base")


# --- prompts -----------------------------------------------------------------------------------------------------


def test_sdxl_prompts_are_encoded_as_the_pipeline_does(sdxl_base: Path) -> None:
    pipeline, encoded = pipeline_of(sdxl_base), encoder_of("sdxl", sdxl_base).encode([*PROMPTS, ""])
    with torch.no_grad():
        embeds, empty, pooled, pooled_empty = pipeline.encode_prompt(PROMPTS)
    for i in range(len(PROMPTS)):
        assert encoded[i].keys() == {"prompt_embeds", "pooled_prompt_embeds"}
        assert encoded[i]["prompt_embeds"].shape == (77, 2 * TEXT_WIDTH)
        torch.testing.assert_close(encoded[i]["prompt_embeds"], embeds[i])
        torch.testing.assert_close(encoded[i]["pooled_prompt_embeds"], pooled[i])
    assert torch.equal(encoded[2]["prompt_embeds"], empty[0])
    assert torch.equal(encoded[2]["pooled_prompt_embeds"], pooled_empty[0])
    assert not empty.any()


def test_sd15_prompts_are_encoded_as_the_pipeline_does(sd15_base: Path) -> None:
    pipeline, encoded = pipeline_of(sd15_base), encoder_of("sd15", sd15_base).encode([*PROMPTS, ""])
    with torch.no_grad():
        embeds, empty = pipeline.encode_prompt(PROMPTS, "cpu", 1, True)
    for i in range(len(PROMPTS)):
        assert encoded[i].keys() == {"prompt_embeds"}
        assert encoded[i]["prompt_embeds"].shape == (77, TEXT_WIDTH)
        torch.testing.assert_close(encoded[i]["prompt_embeds"], embeds[i])
    torch.testing.assert_close(encoded[2]["prompt_embeds"], empty[0])
    assert empty.any()


def test_an_sdxl_whose_empty_prompt_is_read_reads_it(sdxl_base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(sdxl_base, folder)
    index = folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "force_zeros_for_empty_prompt": False}))
    (encoded,) = encoder_of("sdxl", folder).encode([""])
    with torch.no_grad():
        _, empty, _, pooled_empty = pipeline_of(folder).encode_prompt("a car")
    assert empty.any()
    torch.testing.assert_close(encoded["prompt_embeds"], empty[0])
    torch.testing.assert_close(encoded["pooled_prompt_embeds"], pooled_empty[0])


def test_more_tokens_than_clip_reads_are_refused(unet_base: tuple[str, Path]) -> None:
    name, folder = unet_base
    with pytest.raises(ModelError, match=r"max_prompt_tokens 78: is more than .* CLIP stops at 77"):
        encoder_of(name, folder, max_tokens=78)


def test_tokens_are_counted_untruncated_with_the_special_ones(unet_base: tuple[str, Path]) -> None:
    name, folder = unet_base
    counters = get_family(name).token_counters(folder)
    assert list(counters) == (["clip", "clip_2"] if name == "sdxl" else ["clip"])
    assert {counter("a tree " * 60) for counter in counters.values()} == {122}
    assert longest_count([(name, folder)])("a tree") == 4


# --- pixels and sizes --------------------------------------------------------------------------------------------


def test_pixels_are_encoded_and_decoded_as_the_vae_does(unet_base: tuple[str, Path]) -> None:
    name, folder = unet_base
    codec = get_family(name).load_codec(folder, device="cpu")
    vae, pixels = pipeline_of(folder).vae, torch.rand(2, 3, 16, 24) * 2 - 1
    mean, std = codec.encode(pixels)
    with torch.no_grad():
        posterior = vae.encode(pixels).latent_dist
        decoded = vae.decode(mean).sample
    torch.testing.assert_close(mean, posterior.mean)
    torch.testing.assert_close(std, posterior.std)
    torch.testing.assert_close(codec.decode(mean), decoded.clamp(-1, 1))
    assert get_family(name).latent_factor(folder) == FACTOR == 16 // mean.shape[-2]


def test_latents_are_scaled_as_the_pipeline_undoes(unet_base: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = unet_base
    scale, latents = get_family(name).latent_scale(folder), torch.randn(1, 4, 2, 2)
    torch.testing.assert_close(scale.normalise(latents), latents * 0.8)
    torch.testing.assert_close(scale.undo(scale.normalise(latents)), latents)
    shutil.copytree(folder, tmp_path / "base")
    path = tmp_path / "base/vae/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "latents_mean": [0.1] * 4}))
    with pytest.raises(ModelError, match="has a VAE with latents_mean"):
        get_family(name).latent_scale(tmp_path / "base")


def test_sdxl_is_told_sizes_in_the_pipelines_order(sdxl_base: Path) -> None:
    placement = Placement(width=64, height=48, original_width=1920, original_height=817, left=3, top=5)
    ((name, ids),) = get_family("sdxl").size_conditions(placement).items()
    theirs = pipeline_of(sdxl_base)._get_add_time_ids((817, 1920), (5, 3), (48, 64), torch.float32, TEXT_WIDTH)
    assert name == "time_ids"
    assert torch.equal(ids, theirs[0])
    assert get_family("sd15").size_conditions(placement) == {}


# --- the process -------------------------------------------------------------------------------------------------


def test_the_process_is_the_schedulers(unet_base: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = unet_base
    process: Any = get_family(name).process(folder)
    assert process.prediction == "epsilon"
    torch.testing.assert_close(process.alpha_bar, pipeline_of(folder).scheduler.alphas_cumprod.float())
    other = save_base(tmp_path / "v", name, prediction_type="v_prediction", rescale_betas_zero_snr=True)  # type: ignore[arg-type]
    process = get_family(name).process(other)
    assert process.prediction == "v_prediction"
    assert process.alpha_bar[-1].abs() < 1e-6
    other = save_base(tmp_path / "sample", name, prediction_type="sample")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="predicts sample, which cannot be trained"):
        get_family(name).process(other)
