"""Flux's denoiser: held to what diffusers' own pipeline gives the transformer, and to its own loader."""

from pathlib import Path
from typing import Any, cast, get_args

import pytest
import torch
from diffusers import AutoencoderKL, FluxPipeline, FluxTransformer2DModel
from torch import Tensor, nn

from director_diffusion.adapters.injection import inject_adapter
from director_diffusion.errors import ModelError
from director_diffusion.families import get_family
from director_diffusion.processes import Flow
from director_diffusion.processes.levels import shifted
from director_diffusion.specs import LoraAdapter, Targets

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
    latents, scale = torch.randn(2, 8, 4, 4), FAMILY.latent_scale(mini_base)
    normalised = scale.normalise(latents)
    assert not torch.allclose(normalised, latents)
    torch.testing.assert_close(normalised / config["scaling_factor"] + config["shift_factor"], latents)
    torch.testing.assert_close(scale.undo(normalised), latents)


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
        shift = cast(Flow, FAMILY.process(mini_base)).shift((height, width))
        expected = pipeline.scheduler.sigmas[:-1]
        torch.testing.assert_close(shifted(torch.linspace(1, 0.25, 4), shift), expected)


def test_every_preset_of_a_recipe_reaches_linears(mini_base: Path) -> None:
    denoiser = FAMILY.load_denoiser(mini_base, device="cpu", dtype=torch.float32)
    for preset in get_args(Targets):
        assert FAMILY.target_modules(denoiser, preset), preset
    with pytest.raises(ModelError, match="targets 'norms': cannot be adapted: a FluxTransformer2DModel has none"):
        FAMILY.target_modules(denoiser, "norms")


def test_late_single_blocks_are_the_later_half() -> None:
    with torch.device("meta"):
        flux = FluxTransformer2DModel(guidance_embeds=True)
    late = FAMILY.target_modules(flux, "late_single_blocks")
    assert {int(name.split(".")[1]) for name in late} == set(range(19, 38))
    assert set(late) < set(FAMILY.target_modules(flux, "all_block_linears"))
    assert len(late) == 19 * 5


def test_the_backward_pass_goes_no_deeper_than_the_first_adapted_block(mini_base: Path) -> None:
    denoiser = FAMILY.load_denoiser(mini_base, device="cpu", dtype=torch.float32)
    targets = FAMILY.target_modules(denoiser, "late_single_blocks")
    inject_adapter(denoiser, LoraAdapter(kind="lora", rank=2, alpha=2, targets="late_single_blocks"), targets)
    reached = set()
    for kind in ("transformer_blocks", "single_transformer_blocks"):
        for number, block in enumerate(getattr(denoiser, kind)):
            block.register_full_backward_hook(lambda *_, place=(kind, number): reached.add(place))
    prompt = {"prompt_embeds": torch.randn(1, 6, 96), "pooled_prompt_embeds": torch.randn(1, 64)}
    FAMILY.predict(denoiser, torch.randn(1, 8, 8, 8), torch.tensor([0.5]), prompt, 1.0).square().mean().backward()
    assert reached == {("single_transformer_blocks", number) for number in (2, 3, 4)}
