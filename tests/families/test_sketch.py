"""Sketches: what a denoiser in memory draws of embedded prompts is what the family's painter draws of the prompts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from director_diffusion.errors import EvaluationError, ModelError
from director_diffusion.families import get_family
from director_diffusion.families.base import Sketch
from director_diffusion.pretraining.denoiser_specs import DenoiserPart
from director_diffusion.pretraining.flux_parts import untrained_pipeline
from tests.families.unets import STEPS

PROMPTS, SEEDS = ["a red car on sand", "two houses at night"], [5, 6]
FLUX = DenoiserPart.model_validate(
    {
        **STEPS, "patch": 4, "heads": 2, "head_dim": 12, "rope": (4, 4, 4), "layers": 1, "single_layers": 1,
        "prompt_tokens": 8, "text_width": 32, "pooled_width": 32, "text_layers": 1,
    }
)  # fmt: skip


@pytest.fixture(scope="session")
def flux_pixel_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pixels")
    torch.manual_seed(0)
    untrained_pipeline(FLUX, channels=3, vae=None).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def flux_embedded_base(tmp_path_factory: pytest.TempPathFactory, mini_base: Path) -> Path:
    """As mini, but distilled with its guidance."""
    from diffusers import FluxPipeline, FluxTransformer2DModel

    pipeline = FluxPipeline.from_pretrained(mini_base, local_files_only=True)
    torch.manual_seed(0)
    config = {**pipeline.transformer.config, "guidance_embeds": True}
    pipeline.register_modules(transformer=FluxTransformer2DModel.from_config(config))
    folder = tmp_path_factory.mktemp("embedded")
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(params=["flux", "flux_embedded", "flux_pixel", "sdxl", "sd15"])
def case(request: pytest.FixtureRequest) -> tuple[Any, Path, dict[str, Any]]:
    """A family, a base, and what tells pipelines how it is guided."""
    folder = request.getfixturevalue("mini_base" if request.param == "flux" else f"{request.param}_base")
    kind = "embedded" if request.param == "flux_embedded" else "classifier_free"
    return get_family(request.param.removesuffix("_embedded")), folder, {"guidance_kind": kind}


TOKENS = {"flux": 32, "flux_pixel": 8, "sdxl": 77, "sd15": 77}


def embedded(family: Any, folder: Path, prompts: list[str]) -> dict[str, torch.Tensor]:
    encoder = family.load_prompt_encoder(folder, device="cpu", dtype=torch.float32, max_tokens=TOKENS[family.name])
    each = encoder.encode(prompts)
    return {name: torch.stack([one[name] for one in each]) for name in each[0]}


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_a_sketch_is_the_painters_picture(case: tuple[Any, Path, dict[str, Any]], guidance: float) -> None:
    family, folder, kind = case
    size: dict[str, Any] = {"width": 32, "height": 16, "steps": 3, "guidance": guidance}
    painter = family.load_painter(folder, device="cpu", dtype=torch.float32, max_tokens=TOKENS[family.name], **kind)
    pictures = np.stack([np.asarray(image) for image in painter.draw(PROMPTS, SEEDS, **size)]).astype(int)

    denoiser = family.load_denoiser(folder, device="cpu", dtype=torch.float32).train()
    denoiser.get_submodule("time_embedding" if "sd" in family.name else "time_text_embed").eval()
    modes = [module.training for module in denoiser.modules()]
    conditions, empty = embedded(family, folder, PROMPTS), embedded(family, folder, ["", ""])
    latents = family.sketch(folder, denoiser, Sketch(conditions, empty, SEEDS, **size, **kind))
    assert modes == [module.training for module in denoiser.modules()]
    assert not latents.requires_grad

    codec = family.load_codec(folder, device="cpu")
    levels = ((codec.decode(latents) + 1) * 127.5).round().permute(0, 2, 3, 1).numpy().astype(int)
    assert np.abs(levels - pictures).max() <= 1
    assert np.abs(pictures[0] - pictures[1]).max() > 1


def test_dropout_does_not_reach_a_sketch(sd15_base: Path) -> None:
    family, size = get_family("sd15"), dict[str, Any]({"width": 16, "height": 16, "steps": 1, "guidance": 1.0})
    denoiser: Any = family.load_denoiser(sd15_base, device="cpu", dtype=torch.float32).train()
    denoiser.conv_in.register_forward_hook(
        lambda module, args, output: torch.nn.functional.dropout(output, 0.5, denoiser.training)
    )
    prompts = embedded(family, sd15_base, PROMPTS)
    asked = Sketch(prompts, prompts, SEEDS, guidance_kind="classifier_free", **size)
    one, again = (family.sketch(sd15_base, denoiser, asked) for _ in range(2))
    assert torch.equal(one, again)


def test_what_is_not_drawn_is_refused(case: tuple[Any, Path, dict[str, Any]]) -> None:
    family, folder, kind = case
    denoiser = family.load_denoiser(folder, device="cpu", dtype=torch.float32)
    prompts = embedded(family, folder, PROMPTS)
    size = {"width": 32, "height": 16, "steps": 1, "guidance": 2.0, **kind}
    with pytest.raises(EvaluationError, match="is no size of this base"):
        family.sketch(folder, denoiser, Sketch(prompts, prompts, SEEDS, **{**size, "width": 33}))
    other = "embedded" if kind["guidance_kind"] == "classifier_free" else "classifier_free"
    with pytest.raises(ModelError, match="guidance"):
        family.sketch(folder, denoiser, Sketch(prompts, prompts, SEEDS, **{**size, "guidance_kind": other}))
    if kind["guidance_kind"] == "classifier_free":
        with pytest.raises(EvaluationError, match="below 1"):
            family.sketch(folder, denoiser, Sketch(prompts, prompts, SEEDS, **{**size, "guidance": 0.5}))
