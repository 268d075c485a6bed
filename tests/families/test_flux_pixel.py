"""Flux on pixels: as diffusers runs the transformer, and through the stages that a base with a VAE takes."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline
from PIL import Image
from torch import Tensor

from director_diffusion.captions.rows import Caption
from director_diffusion.errors import EvaluationError, ModelError
from director_diffusion.families import get_family
from director_diffusion.latents.encode import encode_latents
from director_diffusion.pretraining.flux_parts import untrained_pipeline
from director_diffusion.pretraining.specs import DenoiserPart
from director_diffusion.processes import Flow
from director_diffusion.processes.levels import shifted
from director_diffusion.progress import Silent
from director_diffusion.prompts.encode import encode_prompts
from director_diffusion.specs import Base, Director, FolderSource, Guidance, Licence, Resolution
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage.items import ItemCache
from director_diffusion.storage.store import Store
from director_diffusion.training.train import train_adapter
from tests.training.trainings import RECIPE, Dataset, make_job, varied

FAMILY = get_family("flux_pixel")
PATCH, TOKENS = 4, 8
PART = DenoiserPart(
    steps=1, batch_size=1, lr=1e-3, patch=PATCH, heads=2, head_dim=12, rope=(4, 4, 4), layers=1, single_layers=1,
    prompt_tokens=TOKENS, text_width=32, pooled_width=32, text_layers=1,
)  # fmt: skip


@pytest.fixture(scope="module", params=[1, 3])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained base on grey or coloured pixels."""
    folder = tmp_path_factory.mktemp("pixels")
    torch.manual_seed(0)
    untrained_pipeline(PART, channels=request.param, vae=None).save_pretrained(folder)
    return folder


def channels_of(folder: Path) -> int:
    return int(json.loads((folder / "transformer/config.json").read_text())["out_channels"])


def painter_of(folder: Path) -> Any:
    return FAMILY.load_painter(
        folder, device="cpu", dtype=torch.float32, guidance_kind="classifier_free", max_tokens=TOKENS
    )


# --- the folder --------------------------------------------------------------------------------------------------


def test_a_whole_base_is_one_of_its_own_family(folder: Path, mini_base: Path, tmp_path: Path) -> None:
    FAMILY.check_folder(folder)
    with pytest.raises(ModelError, match=r"vae/ lacks config.json"):
        get_family("flux").check_folder(folder)
    with pytest.raises(ModelError, match="does not work on pixels: tokens of 32 numbers"):
        FAMILY.check_folder(mini_base)
    shutil.copytree(folder, tmp_path / "base")
    (tmp_path / "base/text_encoder/model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"text_encoder/ lacks model.safetensors"):
        FAMILY.check_folder(tmp_path / "base")


def test_pixels_are_their_own_latents(folder: Path) -> None:
    codec = FAMILY.load_codec(folder, device="cpu")
    picture = Image.effect_mandelbrot((16, 8), (-2, -1, 1, 1), 20).convert("RGB")
    picture.paste("orange", (2, 2, 9, 5))
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
    mean, std = codec.encode(pixels)
    assert mean.shape == (1, channels_of(folder), 8, 16)
    assert not std.any()
    assert FAMILY.latent_factor(folder) == 1
    assert torch.equal(FAMILY.latent_scale(folder).normalise(mean), mean)
    decoded = codec.decode(mean)
    expected = pixels
    if channels_of(folder) == 1:
        grey = np.array(picture.convert("L"))
        expected = torch.from_numpy(grey)[None, None].float().expand(1, 3, -1, -1) / 127.5 - 1
    torch.testing.assert_close(decoded, expected, rtol=0, atol=1 / 127)


# --- predicting and drawing --------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_transformer_sees_in_training_what_it_sees_in_drawing(folder: Path) -> None:
    pipeline = FluxPipeline.from_pretrained(folder, vae=None, local_files_only=True)
    seen: list[tuple[dict[str, Any], Tensor]] = []
    pipeline.transformer.register_forward_hook(
        lambda module, args, kwargs, output: seen.append((kwargs, output[0])), with_kwargs=True
    )
    painter = FAMILY.painter_of(pipeline, guidance_kind="classifier_free", max_tokens=TOKENS)
    painter.draw(["three"], [5], width=24, height=16, steps=1, guidance=1.0)
    (drawn, velocity) = seen.pop()
    noise = torch.randn(1, channels_of(folder), 16, 24, generator=torch.Generator().manual_seed(5))
    prompt = {"prompt_embeds": drawn["encoder_hidden_states"], "pooled_prompt_embeds": drawn["pooled_projections"]}
    predicted = FAMILY.predict(pipeline.transformer, noise, torch.ones(1), prompt, 1.0)
    trained, _ = seen.pop()
    for name in ("hidden_states", "img_ids", "txt_ids", "timestep"):
        assert torch.equal(trained[name], drawn[name]), name
    assert predicted.shape == noise.shape
    row, column = 2, 4  # of tokens
    square = predicted[0, :, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
    torch.testing.assert_close(square.flatten(), velocity[0, row * 6 + column])


def test_the_shift_is_the_one_that_sampling_uses(folder: Path) -> None:
    pipeline = FluxPipeline.from_pretrained(folder, vae=None, local_files_only=True)
    painter = FAMILY.painter_of(pipeline, guidance_kind="classifier_free", max_tokens=TOKENS)
    painter.draw(["three"], [0], width=64, height=32, steps=4, guidance=1.0)
    shift = cast(Flow, FAMILY.process(folder)).shift((32, 64))
    torch.testing.assert_close(shifted(torch.linspace(1, 0.25, 4), shift), pipeline.scheduler.sigmas[:-1])


def test_an_image_depends_on_its_prompt_and_seed_alone(folder: Path) -> None:
    painter = painter_of(folder)

    def draw(prompts: list[str], seeds: list[int]) -> list[np.ndarray]:
        images = painter.draw(prompts, seeds, width=24, height=16, steps=2, guidance=2.0)
        assert all((image.size, image.mode) == ((24, 16), "RGB") for image in images)
        return [np.asarray(image).astype(int) for image in images]

    one, two = draw(["one", "two"], [1, 2])
    (again,) = draw(["two"], [2])
    assert np.abs(two - again).max() <= 1
    assert np.abs(one - two).max() > 1


def test_sizes_that_squares_do_not_fill_are_refused(folder: Path) -> None:
    with pytest.raises(EvaluationError, match="30 × 32: is no size of this base: sides are multiples of 4"):
        painter_of(folder).draw(["one"], [0], width=30, height=32, steps=1, guidance=1.0)
    denoiser = FAMILY.load_denoiser(folder, device="cpu", dtype=torch.float32)
    with pytest.raises(ModelError, match="cannot be packed: sides are multiples of 4"):
        FAMILY.predict(denoiser, torch.zeros(1, channels_of(folder), 30, 32), torch.ones(1), {}, 1.0)


# --- the stages --------------------------------------------------------------------------------------------------


def test_stages_make_an_adapter_of_such_a_base(folder: Path, tmp_path: Path) -> None:
    store, out = Store(str(tmp_path / "store")), tmp_path / "out"
    (out / "images").mkdir(parents=True)
    stills, captions = [], []
    for number in range(4):
        name, split = f"images/{number}.png", "validation" if number == 3 else "train"
        Image.new("RGB", (64, 40), (60 * number, 90, 200)).save(out / name)
        stills.append(
            Still(
                still=f"still{number}", film="film", name=name, sha256="", status="kept", reason="", warnings=(),
                split=split, width=64, height=40, crop=(), reference="", file=name, phash="0" * 16, cluster=number,
            )
        )  # fmt: skip
        captions.append(Caption(f"still{number}", "film", name, split, "a colour", "person", "ok", (), 0, 4))
    base = Base(
        slug="pixels", name="pixels", family="flux_pixel", source=FolderSource(kind="folder", folder=str(folder)),
        model_id="pixels", licence=Licence(id="apache-2.0"), guidance=Guidance(kind="classifier_free"),
        resolution=Resolution(side=32, multiple=8), max_prompt_tokens=TOKENS, dtype="float32",
    )  # fmt: skip
    director = Director(slug="nolan", name="Nolan", trigger="nolan style", stills_licence="drawn")
    common: dict[str, Any] = {"device": "cpu", "out": out, "progress": Silent()}
    latents = encode_latents(
        StillSet(stills, store, out), base, folder, cache=ItemCache(store, "latents", "x", ".safetensors"), **common
    )
    assert all(row.psnr > (60 if channels_of(folder) == 3 else 5) for row in latents)
    prompts = encode_prompts(
        captions, director, base, folder, cache=ItemCache(store, "prompts", "x", ".safetensors"), **common
    )
    job = make_job(
        Dataset(store, latents, prompts), varied(RECIPE, base="pixels"), tmp_path / "work", base=base, folder=folder
    )
    result = train_adapter(job, out=out, metadata={}, progress=Silent()).result
    assert result.held_out_loss < result.base_held_out_loss
    painter = painter_of(folder)

    def draw() -> np.ndarray:
        (image,) = painter.draw(["nolan style"], [0], width=40, height=24, steps=2, guidance=1.0)
        return np.asarray(image).astype(int)

    plain = draw()
    painter.attach(out / "pytorch_lora_weights.safetensors")
    assert np.abs(draw() - plain).max() > 1
    painter.detach()
    assert (draw() == plain).all()
