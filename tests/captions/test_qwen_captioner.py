"""Qwen2.5-VL as a captioner, on the untrained tiny model: what it says is garbage, how it says it is not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from director_diffusion.captions.qwen import QwenCaptioner
from director_diffusion.errors import CaptionError, ModelError
from director_diffusion.specs import Captioner, FolderSource

SPEC = Captioner(
    source=FolderSource(kind="folder", folder="models/mini/captioner"),
    max_pixels=50_176,
    max_new_tokens=12,
    dtype="float32",
)
ASKED = "Describe what this picture shows."


@pytest.fixture(scope="module")
def captioner(untrained_captioner: Path) -> QwenCaptioner:
    """Random weights large enough that every layer, and so every pixel, has a say in what comes out."""
    captioner = QwenCaptioner(untrained_captioner, SPEC, "cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in captioner.model.named_parameters():
            if weight.ndim == 2 and "embed" not in name:
                weight.mul_(6)
        head = captioner.model.lm_head
        head.weight = torch.nn.Parameter(torch.randn_like(head.weight))
    return captioner


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(240, 100), (64, 64), (400, 300)]
    return [Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)) for width, height in sizes]


def test_an_answer_does_not_depend_on_its_batch(captioner: QwenCaptioner) -> None:
    images = pictures()
    asked = [ASKED, f"{ASKED} Answer in one short, complete sentence.", "What?"]
    together = captioner.answer(images, asked)
    alone = [captioner.answer([image], [text])[0] for image, text in zip(images, asked, strict=True)]
    assert together == alone
    assert len({answer.text for answer in together}) == 3


def test_the_same_question_gets_the_same_answer(captioner: QwenCaptioner) -> None:
    assert captioner.answer(pictures(), [ASKED] * 3) == captioner.answer(pictures(), [ASKED] * 3)


def test_an_answer_that_never_ends_says_so(captioner: QwenCaptioner) -> None:
    (answer,) = captioner.answer(pictures()[:1], [ASKED])
    assert answer.hit_limit
    assert answer.text


def test_an_answer_that_ends_by_itself_is_whole(captioner: QwenCaptioner, monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures()
    tokens = []
    decode = captioner.processor.batch_decode
    monkeypatch.setattr(
        captioner.processor, "batch_decode", lambda said, **options: tokens.append(said) or decode(said, **options)
    )
    captioner.answer(images, [ASKED] * 3)
    ends = {int(row[3]) for row in tokens[0][:2]}  # take what the first two say fourth for an end
    monkeypatch.setattr(captioner.model.generation_config, "eos_token_id", sorted(ends))
    assert [answer.hit_limit for answer in captioner.answer(images, [ASKED] * 3)] == [False, False, True]


def test_pictures_are_held_to_the_pixel_cap(captioner: QwenCaptioner) -> None:
    grids = []
    hook = captioner.model.model.visual.register_forward_pre_hook(
        lambda module, args, kwargs: grids.append(kwargs["grid_thw"]), with_kwargs=True
    )
    captioner.answer([Image.new("RGB", (1920, 800)), Image.new("RGB", (20, 20))], [ASKED] * 2)
    hook.remove()
    pixels = (grids[0].prod(dim=1) * captioner.processor.image_processor.patch_size**2).tolist()
    assert 0.8 * SPEC.max_pixels < pixels[0] <= SPEC.max_pixels
    assert pixels[1] <= SPEC.max_pixels


def test_a_picture_of_no_sensible_shape_is_refused(captioner: QwenCaptioner) -> None:
    with pytest.raises(CaptionError, match="6000 × 20"):
        captioner.answer([Image.new("RGB", (6000, 20))], [ASKED])


@pytest.mark.parametrize(
    "missing", ["model.safetensors", "config.json", "tokenizer.json", "processor_config.json", "chat_template.jinja"]
)
def test_an_incomplete_folder_is_refused_by_the_name_of_what_lacks(
    mini_captioner: Path, tmp_path: Path, missing: str
) -> None:
    folder = shutil.copytree(mini_captioner, tmp_path / "captioner")
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=missing):
        QwenCaptioner(folder, SPEC, "cpu")


def test_a_missing_shard_is_refused_by_name(mini_captioner: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(mini_captioner, tmp_path / "captioner")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    with pytest.raises(ModelError, match=r"lacks model-00002-of-00002\.safetensors"):
        QwenCaptioner(folder, SPEC, "cpu")


def test_missing_weights_are_refused_not_made_up(mini_captioner: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(mini_captioner, tmp_path / "captioner")
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "q_proj.weight" in name)
    save_file({k: v for k, v in weights.items() if k != lost}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights.*q_proj"):
        QwenCaptioner(folder, SPEC, "cpu")


def test_damaged_weights_and_other_models_are_refused(mini_captioner: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(mini_captioner, tmp_path / "captioner")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        QwenCaptioner(folder, SPEC, "cpu")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"model_type": "qwen2_5_vl"', '"model_type": "qwen3_vl"'))
    with pytest.raises(ModelError, match="qwen3_vl"):
        QwenCaptioner(folder, SPEC, "cpu")
