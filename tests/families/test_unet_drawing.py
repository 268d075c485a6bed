"""UnetPainter: the same noise in every arm and batch, adapters put on and off; and its cards' example."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, LCMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from numpy.typing import NDArray
from safetensors.torch import save_file

from director_diffusion.errors import EvaluationError, ModelError
from director_diffusion.families import get_family
from director_diffusion.families.usage import Example

SIZE = {"width": 24, "height": 16, "steps": 2}
TARGET = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
WIDTH = 32


def painter_of(name: str, folder: Path, **changes: Any) -> Any:
    settings = {"device": "cpu", "dtype": torch.float32, "guidance_kind": "classifier_free", "max_tokens": 77}
    return get_family(name).load_painter(folder, **{**settings, **changes})


def draw(painter: Any, prompts: list[str], seeds: list[int], guidance: float = 2.0) -> list[NDArray[np.int_]]:
    return [np.asarray(image).astype(int) for image in painter.draw(prompts, seeds, guidance=guidance, **SIZE)]


def save_adapter(path: Path, seed: int = 0, scale: float = 20.0, layer: str = TARGET) -> Path:
    rng = torch.Generator().manual_seed(seed)
    weights = {
        f"{layer}.lora_A.weight": torch.randn(2, WIDTH, generator=rng),
        f"{layer}.lora_B.weight": torch.randn(WIDTH, 2, generator=rng) * scale,
    }
    path.parent.mkdir(exist_ok=True)
    save_file(weights, path)
    return path


def test_a_picture_is_the_pipelines_own(unet_base: tuple[str, Path]) -> None:
    name, folder = unet_base
    (image,) = painter_of(name, folder).draw(["a red house"], [3], guidance=4.0, **SIZE)
    theirs = DiffusionPipeline.from_pretrained(folder, local_files_only=True)(
        "a red house", width=24, height=16, num_inference_steps=2, guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(3),
    ).images[0]  # fmt: skip
    assert (image.size, image.mode) == ((24, 16), "RGB")
    assert image.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("count", [1, 4])
def test_a_student_is_drawn_as_by_the_stock_lcm_pipeline(unet_base: tuple[str, Path], count: int) -> None:
    name, folder = unet_base
    painter, size = painter_of(name, folder), {"width": 24, "height": 16}
    (before,) = draw(painter, ["a red house"], [3])
    drawn = painter.draw(["a car", "a red house"], [9, 3], steps=count, guidance=1.0, scheduler="lcm", **size)
    (alone,) = painter.draw(["a red house"], [3], steps=count, guidance=1.0, scheduler="lcm", **size)
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config, timestep_spacing="trailing")
    theirs = pipeline(
        "a red house", **size, num_inference_steps=count, guidance_scale=0.0,
        generator=torch.Generator("cpu").manual_seed(3),
    ).images[0]  # fmt: skip
    assert pipeline.scheduler.timesteps[0] == 999
    assert alone.tobytes() == theirs.tobytes(), "a guidance of 0 is none, and so is 1"
    assert np.abs(np.asarray(drawn[1]).astype(int) - np.asarray(alone).astype(int)).max() <= 1
    assert np.array_equal(before, draw(painter, ["a red house"], [3])[0]), "its own scheduler is back"


@pytest.mark.parametrize("scheduler", ["euler", "ddim"])
def test_other_schedulers_draw_from_the_last_timestep(unet_base: tuple[str, Path], scheduler: Any) -> None:
    painter, first = painter_of(*unet_base), list[float]()
    painter._denoiser.register_forward_pre_hook(lambda module, args: first.append(float(args[1])))
    painter.draw(["a"], [0], width=24, height=16, steps=4, guidance=1.0, scheduler=scheduler)
    assert first == [999, 749, 499, 249]


@pytest.fixture
def noises(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The initial latents of every drawing, one row an image."""
    seen: list[torch.Tensor] = []

    def recorded(prepare: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def prepared(*args: Any, **kwargs: Any) -> torch.Tensor:
            seen.append(prepare(*args, **kwargs).clone())
            return seen[-1]

        return prepared

    for pipeline in (StableDiffusionXLPipeline, StableDiffusionPipeline):
        monkeypatch.setattr(pipeline, "prepare_latents", recorded(pipeline.prepare_latents))
    return seen


def test_noise_of_a_seed_is_the_same_in_every_batch_and_arm(
    unet_base: tuple[str, Path], noises: list[torch.Tensor], tmp_path: Path
) -> None:
    painter = painter_of(*unet_base)
    together = draw(painter, ["a", "b", "c"], [7, 8, 9])
    (alone,) = draw(painter, ["b"], [8])
    painter.attach(save_adapter(tmp_path / "a.safetensors"))
    draw(painter, ["nolan, b", "x"], [9, 8])
    batch, single, adapter = noises
    assert torch.equal(batch[1], single[0])
    assert torch.equal(batch[1], adapter[1])
    assert torch.equal(batch[2], adapter[0])
    assert not torch.equal(batch[0], batch[1])
    assert np.abs(together[1] - alone).max() <= 1  # of 255: summation order differs with batch size


def test_prompt_and_guidance_matter(unet_base: tuple[str, Path]) -> None:
    painter = painter_of(*unet_base)
    plain, guided = (draw(painter, ["a red house"], [3], guidance=g)[0] for g in (1.0, 30.0))
    assert not np.array_equal(plain, guided)
    assert not np.array_equal(guided, draw(painter, ["a car"], [3], guidance=30.0)[0])


def test_what_is_not_drawn_is_refused(unet_base: tuple[str, Path]) -> None:
    name, folder = unet_base
    with pytest.raises(ModelError, match="does not take embedded guidance"):
        painter_of(name, folder, guidance_kind="embedded")
    with pytest.raises(ModelError, match="CLIP stops at 77"):
        painter_of(name, folder, max_tokens=256)
    painter = painter_of(name, folder)
    with pytest.raises(EvaluationError, match="below 1"):
        draw(painter, ["a"], [0], guidance=0.5)
    # Latents of 14 × 8 cells would be whole, but the pipelines take multiples of 8 pixels alone.
    with pytest.raises(EvaluationError, match=r"28 × 16: .* multiples of 8"):
        painter.draw(["a"], [0], width=28, height=16, steps=1, guidance=2.0)


def save_lokr(path: Path, seed: int) -> Path:
    """As `save_adapter`, of the other kind."""
    rng = torch.Generator().manual_seed(seed)
    factors = {"lokr_w1": torch.randn(4, 4, generator=rng), "lokr_w2": torch.randn(8, 8, generator=rng) * 20}
    save_file(
        {**{f"{TARGET}.{name}": factor for name, factor in factors.items()}, f"{TARGET}.alpha": torch.ones(())}, path
    )
    return path


@pytest.mark.parametrize("save", [save_adapter, save_lokr])
def test_an_adapter_changes_the_image_and_detaching_gives_the_same_bits_back(
    unet_base: tuple[str, Path], save: Callable[..., Path], tmp_path: Path
) -> None:
    painter = painter_of(*unet_base)
    (before,) = draw(painter, ["a red house"], [4])
    painter.attach(save(tmp_path / "one.safetensors", seed=1))
    (first,) = draw(painter, ["a red house"], [4])
    painter.attach(save(tmp_path / "two.safetensors", seed=2))  # takes the first one's place
    (second,) = draw(painter, ["a red house"], [4])
    painter.detach()
    (after,) = draw(painter, ["a red house"], [4])
    assert not np.array_equal(before, first)
    assert not np.array_equal(first, second)
    assert np.array_equal(before, after)


def test_an_adapter_that_does_not_fit_is_refused_and_leaves_the_base_alone(
    unet_base: tuple[str, Path], tmp_path: Path
) -> None:
    painter = painter_of(*unet_base)
    (before,) = draw(painter, ["a red house"], [5])
    for layer in (
        TARGET.removeprefix("unet."),
        TARGET.replace("to_q", "to_query"),
        TARGET.replace("attn1.to_q", "ff.net.2"),
    ):
        with pytest.raises(ModelError, match="does not fit"):
            painter.attach(save_adapter(tmp_path / "other.safetensors", layer=layer))
    assert np.array_equal(before, draw(painter, ["a red house"], [5])[0])


def test_values_that_are_not_finite_are_an_error_not_a_black_image(unet_base: tuple[str, Path], tmp_path: Path) -> None:
    painter = painter_of(*unet_base)
    painter.attach(save_adapter(tmp_path / "nan.safetensors", scale=float("nan")))
    with pytest.raises(EvaluationError, match="not finite"):
        draw(painter, ["a red house"], [6])


# --- the example of a card ---------------------------------------------------------------------------------------

EXAMPLE = Example(
    base="stabilityai/stable-diffusion-xl-base-1.0",
    revision="0123",
    adapter="studio/nolan-sdxl_lora",
    weights="lora.safetensors",
    prompt='nolan style, a sign that says "stop\\go"',
    width=1216,
    height=640,
    steps=30,
    guidance=5.0,
    guidance_kind="classifier_free",
    max_tokens=77,
    dtype="bfloat16",
)


def test_it_is_diffusers_alone() -> None:
    assert (
        get_family("sdxl").usage(EXAMPLE)
        == r"""import torch
from diffusers import StableDiffusionXLPipeline

pipe = StableDiffusionXLPipeline.from_pretrained(
    "stabilityai/stable-diffusion-xl-base-1.0", revision="0123", torch_dtype=torch.bfloat16
)
pipe.load_lora_weights("studio/nolan-sdxl_lora", weight_name="lora.safetensors")
image = pipe(
    "nolan style, a sign that says \"stop\\go\"",
    width=1216, height=640, num_inference_steps=30, guidance_scale=5.0,
).images[0]"""
    )


def test_it_draws_with_the_adapter(unet_base: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = unet_base
    adapter = save_adapter(tmp_path / "repo/lora.safetensors")
    example = replace(
        EXAMPLE, base=str(folder), revision=None, adapter=str(adapter.parent), weights=adapter.name, dtype="float32",
        width=24, height=16, steps=2,
    )  # fmt: skip

    def run(code: str) -> Any:
        names: dict[str, Any] = {}
        torch.manual_seed(0)
        exec(compile(code, "README.md", "exec"), names)
        return names["image"]

    code = get_family(name).usage(example)
    plain = "\n".join(line for line in code.splitlines() if not line.startswith("pipe.load_lora_weights"))
    image = run(code)
    assert image.size == (24, 16)
    assert image.tobytes() == run(code).tobytes() != run(plain).tobytes()
