"""Flux's encoders: equal to diffusers' own pipeline, and clear about what a folder lacks."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline

from director_diffusion.errors import ModelError
from director_diffusion.families import get_family

PROMPTS = ["nolan style, a red car before two houses at night", "", "a tree " * 60]


@pytest.fixture(scope="module")
def pipeline(mini_base: Path) -> FluxPipeline:
    return FluxPipeline.from_pretrained(mini_base, dtype=torch.float32)


@pytest.mark.parametrize("max_tokens", [16, 48])
def test_prompts_are_encoded_as_the_pipeline_does(mini_base: Path, pipeline: FluxPipeline, max_tokens: int) -> None:
    encoder = get_family("flux").load_prompt_encoder(
        mini_base, device="cpu", dtype=torch.float32, max_tokens=max_tokens
    )
    encoded = encoder.encode(PROMPTS)
    for prompt, outputs in zip(PROMPTS, encoded, strict=True):
        with torch.no_grad():
            embeds, pooled, _ = pipeline.encode_prompt(prompt, max_sequence_length=max_tokens)
        assert outputs.keys() == {"prompt_embeds", "pooled_prompt_embeds"}
        assert outputs["prompt_embeds"].shape == (max_tokens, embeds.shape[-1])
        torch.testing.assert_close(outputs["prompt_embeds"], embeds[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(outputs["pooled_prompt_embeds"], pooled[0], rtol=1e-5, atol=1e-5)


def test_embeddings_keep_the_dtype_they_were_computed_in(mini_base: Path) -> None:
    encoder = get_family("flux").load_prompt_encoder(mini_base, device="cpu", dtype=torch.bfloat16, max_tokens=16)
    (outputs,) = encoder.encode(PROMPTS[:1])
    assert {tensor.dtype for tensor in outputs.values()} == {torch.bfloat16}


def test_pixels_are_encoded_and_decoded_as_the_vae_does(mini_base: Path, pipeline: FluxPipeline) -> None:
    codec = get_family("flux").load_codec(mini_base, device="cpu")
    pixels = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, std = codec.encode(pixels)
    with torch.no_grad():
        posterior = pipeline.vae.encode(pixels).latent_dist
        decoded = pipeline.vae.decode(mean).sample
    torch.testing.assert_close(mean, posterior.mean)
    torch.testing.assert_close(std, posterior.std)
    torch.testing.assert_close(codec.decode(mean), decoded.clamp(-1, 1))
    factor = get_family("flux").latent_factor(mini_base)
    assert mean.shape[2:] == (48 // factor, 64 // factor)
    assert {tensor.dtype for tensor in (mean, std, codec.decode(mean))} == {torch.float32}


def test_tokens_are_counted_untruncated_with_the_special_ones(mini_base: Path, pipeline: FluxPipeline) -> None:
    counters = get_family("flux").token_counters(mini_base)
    assert counters.keys() == {"clip", "t5"}
    assert counters["clip"]("") == 2  # start and end
    assert counters["t5"]("") == 1  # end
    for prompt in PROMPTS:
        assert counters["clip"](prompt) == len(pipeline.tokenizer(prompt).input_ids)
        assert counters["t5"](prompt) == len(pipeline.tokenizer_2(prompt).input_ids)
    assert counters["t5"](PROMPTS[2]) > 48


def test_a_whole_base_is_accepted(mini_base: Path) -> None:
    get_family("flux").check_folder(mini_base)


@pytest.mark.parametrize(
    "missing",
    [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "transformer/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "text_encoder/model.safetensors",
        "text_encoder_2/config.json",
        "tokenizer_2/tokenizer_config.json",
    ],
)
def test_what_a_folder_lacks_is_named(mini_base: Path, tmp_path: Path, missing: str) -> None:
    copy = tmp_path / "base"
    shutil.copytree(mini_base, copy)
    (copy / missing).unlink()
    component, _, name = missing.rpartition("/")
    with pytest.raises(ModelError, match=f"{component}/ lacks {name}" if component else "model_index.json is missing"):
        get_family("flux").check_folder(copy)


def test_all_shards_that_an_index_names_must_be_there(mini_base: Path, tmp_path: Path) -> None:
    copy = tmp_path / "base"
    shutil.copytree(mini_base, copy)
    folder = copy / "transformer"
    (folder / "diffusion_pytorch_model.safetensors").rename(
        folder / "diffusion_pytorch_model-00001-of-00002.safetensors"
    )
    shards = {
        name: f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for name, number in (("a", 1), ("b", 2))
    }
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(ModelError, match=r"transformer/ lacks diffusion_pytorch_model-00002-of-00002.safetensors"):
        get_family("flux").check_folder(copy)


def test_another_architecture_is_refused(mini_base: Path, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    with pytest.raises(ModelError, match="holds a StableDiffusionXLPipeline, not a FluxPipeline"):
        get_family("flux").check_folder(tmp_path)
