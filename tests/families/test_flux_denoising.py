"""Flux's denoiser: held to what diffusers' own pipeline gives the transformer, and to its own loader."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, FluxPipeline, FluxTransformer2DModel
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from director_diffusion.errors import ModelError
from director_diffusion.families import get_family
from director_diffusion.families.adapter_files import plain_config
from director_diffusion.families.flux import denoising
from director_diffusion.training.timesteps import shifted

FAMILY = get_family("flux")
HEIGHT, WIDTH = 16, 24  # latent cells


@pytest.fixture(scope="module")
def pipeline(mini_base: Path) -> FluxPipeline:
    pipeline = FluxPipeline.from_pretrained(mini_base, dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def prompt_of(pipeline: FluxPipeline, batch: int) -> dict[str, Tensor]:
    embeds, pooled, _ = pipeline.encode_prompt(["a red car"] * batch, prompt_2=None, max_sequence_length=16)
    return {"prompt_embeds": embeds, "pooled_prompt_embeds": pooled}


class Recorder:
    """Notes what a transformer is called with and gives, while the `with` block lasts."""

    def __init__(self, transformer: nn.Module):
        self._transformer, self.calls = transformer, list[tuple[dict[str, Any], Tensor]]()

    def __enter__(self) -> "Recorder":
        def note(module: nn.Module, args: Any, kwargs: dict[str, Any], output: tuple[Tensor]) -> None:
            self.calls.append((kwargs, output[0]))

        self._hook = self._transformer.register_forward_hook(note, with_kwargs=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()


# --- targets -----------------------------------------------------------------------------------------------------


def test_presets_reach_every_linear_of_the_real_model() -> None:
    with torch.device("meta"):
        flux = FluxTransformer2DModel(guidance_embeds=True)  # FLUX.1 [dev]'s sizes are the class's defaults
    in_blocks = {
        name for name, module in flux.named_modules() if isinstance(module, nn.Linear) and "transformer_blocks." in name
    }
    norms = {name for name in in_blocks if ".norm" in name}
    targets = FAMILY.target_modules(flux, "all_block_linears")
    assert len(in_blocks) == 494
    assert len(targets) == len(set(targets)) == 418
    assert set(targets) == in_blocks - norms
    attention = FAMILY.target_modules(flux, "attention")
    assert len(attention) == 19 * 8 + 38 * 3
    assert all(".attn." in name for name in attention)


def test_a_pattern_without_a_match_is_an_error() -> None:
    with torch.device("meta"):
        flux = FluxTransformer2DModel(num_layers=1, num_single_layers=0)
    with pytest.raises(ModelError, match=r"no linear of this FluxTransformer2DModel is called 'single_transformer"):
        FAMILY.target_modules(flux, "attention")


# --- what the transformer sees -----------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance_embeds", [False, True])
def test_the_transformer_sees_what_the_pipeline_gives_it(pipeline: FluxPipeline, guidance_embeds: bool) -> None:
    config = {**pipeline.transformer.config, "guidance_embeds": guidance_embeds}
    torch.manual_seed(0)
    transformer = FluxTransformer2DModel.from_config(config).eval()
    prompt = prompt_of(pipeline, batch=2)
    components = {**pipeline.components, "transformer": transformer}
    with Recorder(transformer) as pipeline_calls:
        FluxPipeline(**components)(
            prompt_embeds=prompt["prompt_embeds"],
            pooled_prompt_embeds=prompt["pooled_prompt_embeds"],
            height=HEIGHT * pipeline.vae_scale_factor,
            width=WIDTH * pipeline.vae_scale_factor,
            num_inference_steps=3,
            guidance_scale=2.5,
            generator=torch.Generator().manual_seed(1),
            output_type="latent",
        )
    assert len(pipeline_calls.calls) == 3
    for step, (expected, velocity) in enumerate(pipeline_calls.calls):
        sigma = pipeline.scheduler.sigmas[step].expand(2)
        noisy = unpacked(expected["hidden_states"])
        with Recorder(transformer) as ours, torch.no_grad():
            predicted = FAMILY.predict(transformer, noisy, sigma, prompt, guidance=2.5)
        given = ours.calls[0][0]
        for name in ("hidden_states", "encoder_hidden_states", "pooled_projections", "img_ids", "txt_ids"):
            assert torch.equal(given[name], expected[name]), name
        torch.testing.assert_close(given["timestep"], expected["timestep"])
        assert (given["guidance"] is None) == (expected["guidance"] is None) == (not guidance_embeds)
        if guidance_embeds:
            assert torch.equal(given["guidance"], expected["guidance"])
        assert predicted.shape == noisy.shape
        torch.testing.assert_close(predicted, unpacked(velocity), rtol=1e-4, atol=1e-5)


def unpacked(tokens: Tensor) -> Tensor:
    """(B, N, 4C) → (B, C, h, w), by the definition: a token is a square of 2 × 2 cells, channel by channel."""
    batch, _, width = tokens.shape
    latents = torch.empty(batch, width // 4, HEIGHT, WIDTH)
    for token in range(tokens.shape[1]):
        row, column = divmod(token, WIDTH // 2)
        square = tokens[:, token].reshape(batch, width // 4, 2, 2)
        latents[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = square
    return latents


def test_odd_latents_are_refused(mini_base: Path) -> None:
    denoiser = FAMILY.load_denoiser(mini_base, device="cpu", dtype=torch.float32)
    with pytest.raises(ModelError, match="latents of 8 × 7 cells: cannot be packed"):
        FAMILY.predict(denoiser, torch.zeros(1, 8, 7, 8), torch.ones(1), {}, guidance=1.0)


def test_normalising_is_undone_by_the_pipelines_decoding(mini_base: Path) -> None:
    config = AutoencoderKL.load_config(mini_base / "vae")
    latents = torch.randn(2, 8, 4, 4)
    normalised = FAMILY.normalise(mini_base, latents)
    assert not torch.allclose(normalised, latents)
    torch.testing.assert_close(normalised / config["scaling_factor"] + config["shift_factor"], latents)


def test_the_shift_is_the_one_that_sampling_uses(pipeline: FluxPipeline, mini_base: Path) -> None:
    prompt = prompt_of(pipeline, batch=1)
    for height, width in ((8, 12), (32, 32)):
        pipeline(
            prompt_embeds=prompt["prompt_embeds"],
            pooled_prompt_embeds=prompt["pooled_prompt_embeds"],
            height=height * pipeline.vae_scale_factor,
            width=width * pipeline.vae_scale_factor,
            num_inference_steps=4,
            output_type="latent",
        )
        shift = FAMILY.sigma_shift(mini_base, height=height, width=width)
        expected = pipeline.scheduler.sigmas[:-1]
        torch.testing.assert_close(shifted(torch.linspace(1, 0.25, 4), shift), expected)


# --- the file ----------------------------------------------------------------------------------------------------


def adapted(folder: Path, **config: Any) -> nn.Module:
    """A denoiser with an adapter whose weights are all random."""
    denoiser = FAMILY.load_denoiser(folder, device="cpu", dtype=torch.float32)
    torch.manual_seed(5)
    targets = FAMILY.target_modules(denoiser, "all_block_linears")
    denoiser.add_adapter(LoraConfig(target_modules=targets, **config), "default")  # type: ignore[operator]
    for parameter in denoiser.parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
    return denoiser


def save(denoiser: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    config = denoiser.peft_config["default"]  # type: ignore[index]
    FAMILY.save_adapter(path, get_peft_model_state_dict(denoiser), peft_config=config, metadata=metadata)


@pytest.mark.parametrize("config", [{"r": 4, "lora_alpha": 4}, {"r": 4, "lora_alpha": 10.5}])
def test_the_pipeline_loads_the_very_adapter(
    pipeline: FluxPipeline, mini_base: Path, tmp_path: Path, config: dict[str, Any]
) -> None:
    trained = adapted(mini_base, **config)
    path = tmp_path / "pytorch_lora_weights.safetensors"
    save(trained, path, {"director": "nolan"})
    noisy, sigma, prompt = torch.randn(2, 8, HEIGHT, WIDTH), torch.tensor([0.3, 0.9]), prompt_of(pipeline, batch=2)
    fresh = FluxPipeline.from_pretrained(mini_base, dtype=torch.float32, local_files_only=True)
    with torch.no_grad():
        expected = FAMILY.predict(trained, noisy, sigma, prompt, guidance=1.0)
        base = FAMILY.predict(fresh.transformer, noisy, sigma, prompt, guidance=1.0)
        fresh.load_lora_weights(tmp_path)
        loaded = FAMILY.predict(fresh.transformer, noisy, sigma, prompt, guidance=1.0)
    assert (expected - base).abs().max() > 0.1
    torch.testing.assert_close(loaded, expected)


def test_the_header_tells_where_the_adapter_comes_from(mini_base: Path, tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    save(adapted(mini_base, r=2, lora_alpha=3), path, {"director": "nolan", "base": "mini"})
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        assert all(key.startswith("transformer.") for key in file.keys())  # noqa: SIM118 — no mapping
    assert header["format"] == "pt"
    assert (header["director"], header["base"]) == ("nolan", "mini")
    lora = json.loads(header["lora_adapter_metadata"])
    assert (lora["transformer.r"], lora["transformer.lora_alpha"]) == (2, 3)


def test_the_files_bytes_depend_on_its_content_alone(tmp_path: Path) -> None:
    """Neither the order of sets nor that of safetensors' own metadata, new in every file, may show."""
    config = LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v", "to_out.0", "proj_mlp"])
    assert plain_config(config)["target_modules"] == ["proj_mlp", "to_k", "to_out.0", "to_q", "to_v"]
    contents = set()
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        weights = {"a.lora_A.weight": torch.ones(2, 3)}
        FAMILY.save_adapter(path, weights, peft_config=config, metadata={letter: letter for letter in "zxywv"})
        contents.add(path.read_bytes())
    assert len(contents) == 1
    assert list(load_file(path)) == ["transformer.a.lora_A.weight"]


def test_presets_are_those_that_recipes_may_name() -> None:
    from director_diffusion.specs import LoraAdapter

    assert set(denoising.PRESETS) == set(LoraAdapter.model_fields["targets"].annotation.__args__)  # type: ignore[union-attr]
