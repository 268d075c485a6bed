"""The style encoder's lesson: it learns, goes on after a kill, and timm loads what it leaves."""

from dataclasses import replace
from pathlib import Path
from typing import Never

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.data import create_transform, resolve_model_data_config

from director_diffusion.errors import SpecError
from director_diffusion.hashing import hash_folder
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.specs import StyleEncoderPart
from director_diffusion.pretraining.style_encoder import SCENES, StyleLesson, build_style_encoder, eye, see_looks
from director_diffusion.progress import Silent
from director_diffusion.scenes.style import NEUTRAL
from tests.pretraining.small_bases import STEPS, KilledError, assert_it_learns, killed_at, run_in, small_base

STYLE_ENCODER = {**STEPS, "architecture": "test_efficientnet_ln", "pixel_height": 32, "pixel_width": 56}
PART = StyleEncoderPart.model_validate(STYLE_ENCODER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained style encoder; read it."""
    run, shown = run_in(tmp_path_factory.mktemp("style_encoder"))
    build_style_encoder(small_base(style_encoder=STYLE_ENCODER), run)
    assert shown == [2, 4]
    return run.out


def test_timm_reads_the_folder_and_sees_what_the_lesson_showed(folder: Path) -> None:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    preprocess = create_transform(**resolve_model_data_config(model), is_training=False)
    image = Image.effect_noise((640, 268), 80).convert("RGB")
    shown = eye(PART).normalised(eye(PART).see(image)[None])
    torch.testing.assert_close(preprocess(image)[None], shown, atol=1e-5, rtol=0)
    assert model(shown).shape == (1, model.num_features)
    floats = {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()}
    assert floats == {torch.float16}


def test_every_style_shows_several_scenes(tmp_path: Path) -> None:
    training, held_out = see_looks(small_base(), PART, run_in(tmp_path)[0])
    assert training.levels.shape == (24 // SCENES, SCENES, 3, 32, 56)
    assert len(training.styles) == 24 // SCENES
    assert len(held_out.styles) == 8 // SCENES
    styled = set(training.styles) - {NEUTRAL}
    assert styled
    assert not styled & set(held_out.styles)


def test_it_learns(tmp_path: Path) -> None:
    part = StyleEncoderPart.model_validate({**STYLE_ENCODER, "steps": 40, "batch_size": 12, "ema_decay": 0.5})
    run, _ = run_in(tmp_path)
    training, held_out = see_looks(small_base(), part, run)
    with seeded("start"):
        lesson = StyleLesson(timm.create_model(part.architecture, num_classes=0), training, held_out, part, "cpu")

    assert_it_learns(lesson, part, run)


def test_resumed_is_uninterrupted(folder: Path, tmp_path: Path) -> None:
    run, _ = run_in(tmp_path)
    base = small_base(style_encoder=STYLE_ENCODER)
    with pytest.raises(KilledError):
        build_style_encoder(base, killed_at(run, 4))
    assert not (run.out / "model.safetensors").exists()
    build_style_encoder(base, run)
    assert hash_folder(run.out) == hash_folder(folder)


def test_a_base_without_a_style_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"small.*has no style encoder"):
        build_style_encoder(small_base(), run_in(tmp_path)[0])


def test_an_architecture_that_timm_does_not_know_is_refused_before_pictures_are_drawn(tmp_path: Path) -> None:
    class Watched(Silent):
        def task(self, title: str, total: int | None = None) -> Never:
            raise AssertionError(title)

    run, _ = run_in(tmp_path)
    base = small_base(style_encoder={**STYLE_ENCODER, "architecture": "resnet_of_mine"})
    with pytest.raises(SpecError, match=r"style_encoder\.architecture = 'resnet_of_mine', which timm does not know"):
        build_style_encoder(base, replace(run, progress=Watched()))
