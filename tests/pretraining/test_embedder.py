"""The embedder's lesson: it learns, goes on after a kill, and open_clip and the evaluation load what it leaves."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from director_diffusion.errors import SpecError
from director_diffusion.evaluation.encoders.embedder import ClipEmbedder
from director_diffusion.hashing import hash_folder
from director_diffusion.pretraining.embedder import (
    CONTEXT,
    EmbedderLesson,
    build_embedder,
    captions,
    eye,
    tokens,
    untrained_embedder,
)
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.specs import EmbedderPart
from director_diffusion.pretraining.views import see_drawn_scenes
from director_diffusion.specs import Embedder, FolderSource
from tests.pretraining.small_bases import STEPS, KilledError, assert_it_learns, killed_at, run_in, small_base

EMBEDDER = {
    **STEPS,
    "tower": "test_efficientnet_ln",
    "pixel_height": 32,
    "pixel_width": 56,
    "width": 32,
    "text_width": 32,
    "text_layers": 1,
}
PART = EmbedderPart.model_validate(EMBEDDER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained embedder; read it."""
    run, shown = run_in(tmp_path_factory.mktemp("embedder"))
    build_embedder(small_base(embedder=EMBEDDER), run)
    assert shown == [2, 4]
    return run.out


@pytest.fixture
def embedder(folder: Path) -> ClipEmbedder:
    spec = Embedder(model="small", source=FolderSource(kind="folder", folder=str(folder)))
    return ClipEmbedder(folder, spec, device="cpu")


def test_open_clip_reads_the_folder(folder: Path) -> None:
    name = f"local-dir:{folder}"
    model, _, preprocess = open_clip.create_model_and_transforms(name, require_pretrained=True)
    texts = model.encode_text(open_clip.get_tokenizer(name)(["two red cars", "a house on snow"]))
    picture = preprocess(Image.linear_gradient("L").convert("RGB"))
    assert picture.shape == (3, 32, 56)
    assert texts.shape == (2, 32)
    assert model.encode_image(picture[None]).shape == (1, 32)
    assert not torch.allclose(texts[0], texts[1])
    weights = load_file(folder / "open_clip_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


def test_the_evaluation_sees_what_the_lesson_showed(folder: Path, embedder: ClipEmbedder, tmp_path: Path) -> None:
    training, _ = see_drawn_scenes(small_base(), PART, eye(PART), run_in(tmp_path)[0])
    model = open_clip.create_model(f"local-dir:{folder}", require_pretrained=True).eval()
    sizes = ((640, 346), (56, 32), (480, 360))
    images = [Image.effect_noise(size, 80).convert("RGB") for size in sizes]
    with torch.no_grad():
        seen = model.encode_image(eye(PART).normalised(torch.stack([eye(PART).see(i) for i in images])), normalize=True)
        said = model.encode_text(tokens(captions(training)[2][:5]), normalize=True)
    np.testing.assert_allclose(embedder.images(images), seen.numpy(), atol=1e-5)
    np.testing.assert_allclose(embedder.texts(captions(training)[2][:5]), said.numpy(), atol=1e-5)


def test_what_stands_at_the_sides_is_seen(embedder: ClipEmbedder) -> None:
    plain = Image.new("RGB", (640, 268), (90, 120, 160))
    at_the_side = plain.copy()
    at_the_side.paste((200, 30, 30), (590, 60, 640, 220))  # outside the centre square
    one, other = embedder.images([plain, at_the_side])
    assert not np.allclose(one, other, atol=1e-4)


def test_captions_tell_content_look_or_both(tmp_path: Path) -> None:
    training, _ = see_drawn_scenes(small_base(), PART, eye(PART), run_in(tmp_path)[0])
    contents, looks, both = captions(training)
    assert training.levels.shape == (24, 3, 32, 56)
    for content, look, whole in zip(contents, looks, both, strict=True):
        assert whole == (content if look == "neutral palette" else f"{content}, {look}")
    end = tokens(both).argmax(dim=1)  # of the text: the highest id, which open_clip pools at
    assert int(end.min()) > 0
    assert tokens(both).shape == (24, CONTEXT)


def test_it_learns(tmp_path: Path) -> None:
    part = EmbedderPart.model_validate({**EMBEDDER, "steps": 40, "batch_size": 16, "ema_decay": 0.5})
    run, _ = run_in(tmp_path)
    training, held_out = see_drawn_scenes(small_base(), part, eye(part), run)
    with seeded("start"):
        lesson = EmbedderLesson(untrained_embedder(part), training, held_out, part)

    assert_it_learns(lesson, part, run)


def test_resumed_is_uninterrupted(folder: Path, tmp_path: Path) -> None:
    run, _ = run_in(tmp_path)
    base = small_base(embedder=EMBEDDER)
    with pytest.raises(KilledError):
        build_embedder(base, killed_at(run, 4))
    assert not (run.out / "open_clip_model.safetensors").exists()
    build_embedder(base, run)
    assert hash_folder(run.out) == hash_folder(folder)


def test_a_base_without_an_embedder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"small.*has no embedder"):
        build_embedder(small_base(), run_in(tmp_path)[0])


def test_a_tower_that_timm_does_not_know_is_refused(tmp_path: Path) -> None:
    base = small_base(embedder={**EMBEDDER, "tower": "tower_of_mine"})
    with pytest.raises(SpecError, match=r"embedder\.tower = 'tower_of_mine', which timm does not know"):
        build_embedder(base, run_in(tmp_path)[0])
