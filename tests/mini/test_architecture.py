"""Architecture: the real classes load what is written, and it is always the same."""

from pathlib import Path

import open_clip
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from PIL import Image
from qwen_vl_utils import process_vision_info
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from director_diffusion.hashing import hash_folder
from director_diffusion.mini.architecture import (
    save_untrained_base,
    save_untrained_captioner,
    save_untrained_embedder,
)

PICTURE = Image.linear_gradient("L").convert("RGB")


def test_the_base_is_a_flux_pipeline(mini_base: Path) -> None:
    pipeline = FluxPipeline.from_pretrained(mini_base, local_files_only=True)
    assert isinstance(pipeline.transformer, FluxTransformer2DModel)
    assert isinstance(pipeline.scheduler, FlowMatchEulerDiscreteScheduler)
    assert pipeline.scheduler.config.use_dynamic_shifting
    assert pipeline.vae_scale_factor == 4
    assert pipeline.transformer.config.in_channels == 4 * pipeline.vae.config.latent_channels
    images = pipeline(
        ["two red cars", "a house"],
        negative_prompt=["", ""],
        true_cfg_scale=2.0,
        width=88,
        height=48,
        num_inference_steps=2,
        max_sequence_length=48,
    ).images
    assert [image.size for image in images] == [(88, 48), (88, 48)]


def test_the_base_is_small(mini_base: Path) -> None:
    weights = sum(path.stat().st_size for path in mini_base.rglob("*.safetensors"))
    assert weights < 2 * 12 * 2**20  # bytes in float32: 12 MiB in half precision


def test_the_captioner_is_a_qwen_with_its_processor(mini_captioner: Path) -> None:
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(mini_captioner, local_files_only=True)
    processor = AutoProcessor.from_pretrained(mini_captioner, local_files_only=True)
    assert isinstance(processor, Qwen2_5_VLProcessor)
    talk = [{"role": "user", "content": [{"type": "image", "image": PICTURE}, {"type": "text", "text": "What is it?"}]}]
    text = processor.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What is it?<|im_end|>\n<|im_start|>assistant\n"
    )
    images, videos = process_vision_info(talk)
    inputs = processor(text=[text], images=images, videos=videos, return_tensors="pt")
    grid = inputs["image_grid_thw"][0].prod().item()
    assert (inputs["input_ids"] == model.config.image_token_id).sum().item() == grid // 4
    said = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert inputs["input_ids"].shape[1] < said.shape[1] <= inputs["input_ids"].shape[1] + 3


def test_the_embedder_is_an_open_clip_folder(mini_embedder: Path) -> None:
    name = f"local-dir:{mini_embedder}"
    model, _, preprocess = open_clip.create_model_and_transforms(name, require_pretrained=True)
    tokens = open_clip.get_tokenizer(name)(["two red cars", "a house on snow"])
    texts, image = model.encode_text(tokens), model.encode_image(preprocess(PICTURE)[None])
    assert texts.shape == (2, 64)
    assert image.shape == (1, 64)
    assert not torch.allclose(texts[0], texts[1])


@pytest.mark.parametrize("save", [save_untrained_base, save_untrained_captioner, save_untrained_embedder])
def test_a_seed_gives_the_same_files_and_touches_no_other_draws(save, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        save(tmp_path / name, seed)
    assert torch.equal(torch.rand(3), expected)
    assert hash_folder(tmp_path / "one") == hash_folder(tmp_path / "again") != hash_folder(tmp_path / "other")
