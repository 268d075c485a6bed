"""The shipped mini set: small, whole, as its manifest says, and loaded by the real classes."""

import json
from pathlib import Path

import open_clip
import timm
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from huggingface_hub import ModelCard
from PIL import Image
from qwen_vl_utils import process_vision_info
from safetensors import safe_open
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from director_diffusion.catalog import load_catalog
from director_diffusion.pretraining.keys import part_keys
from director_diffusion.pretraining.manifest import differing_files
from tests.conftest import MINI

PICTURE = Image.linear_gradient("L").convert("RGB")
PARTS = ("base", "captioner", "embedder", "style_encoder")
LARGEST = 12 * 2**20  # bytes of the whole set
ROOT = Path(__file__).parents[2]


def test_it_is_small_and_in_half_precision() -> None:
    assert sum(path.stat().st_size for path in MINI.rglob("*") if path.is_file()) <= LARGEST
    for path in MINI.rglob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 — no mapping
        assert kinds <= {"F16", "I64"}, path


def test_every_file_is_as_the_manifest_says() -> None:
    assert [part for part in PARTS if differing_files(MINI, part)] == []


def test_its_parts_are_those_that_its_spec_trains(tmp_path: Path) -> None:
    base = load_catalog(ROOT / "configs").bases["mini"]
    keys = json.loads((MINI / "manifest.json").read_text())["parts"]
    assert keys == part_keys(base, root=ROOT, cache=tmp_path), "train it again: make mini"


def test_its_card_tells_how_it_was_made() -> None:
    card = ModelCard.load(MINI / "README.md")
    spec = load_catalog(ROOT / "configs").bases["mini"].trained_here
    assert spec is not None
    assert card.data.license == "apache-2.0"
    for name in ("vae", "denoiser", "captioner", "embedder", "style_encoder"):
        assert str(getattr(spec, name).steps) in card.text.replace(",", "")


def test_the_base_is_a_flux_pipeline(mini_base: Path) -> None:
    pipeline = FluxPipeline.from_pretrained(mini_base, local_files_only=True, dtype=torch.float32)
    assert isinstance(pipeline.transformer, FluxTransformer2DModel)
    assert isinstance(pipeline.scheduler, FlowMatchEulerDiscreteScheduler)
    assert pipeline.vae_scale_factor == 4
    assert pipeline.transformer.config.in_channels == 4 * pipeline.vae.config.latent_channels
    images = pipeline(
        ["two red cars", "a house"],
        negative_prompt=["", ""],
        true_cfg_scale=2.0,
        width=88,
        height=48,
        num_inference_steps=2,
        max_sequence_length=32,
    ).images
    assert [image.size for image in images] == [(88, 48), (88, 48)]


def test_the_captioner_is_a_qwen_with_its_processor(mini_captioner: Path) -> None:
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        mini_captioner, local_files_only=True, dtype=torch.float32
    )
    processor = AutoProcessor.from_pretrained(mini_captioner, local_files_only=True)
    assert isinstance(processor, Qwen2_5_VLProcessor)
    talk = [{"role": "user", "content": [{"type": "image", "image": PICTURE}, {"type": "text", "text": "What is it?"}]}]
    text = processor.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What is it?<|im_end|>\n<|im_start|>assistant\n"
    )
    vision = processor.image_processor
    images, videos = process_vision_info(talk, image_patch_size=vision.patch_size)
    inputs = processor(text=[text], images=images, videos=videos, do_resize=False, return_tensors="pt")
    grid = inputs["image_grid_thw"][0].prod().item()
    assert (inputs["input_ids"] == model.config.image_token_id).sum().item() == grid // vision.merge_size**2
    said = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert inputs["input_ids"].shape[1] < said.shape[1] <= inputs["input_ids"].shape[1] + 3


def test_the_embedder_is_an_open_clip_folder(mini_embedder: Path) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{mini_embedder}", require_pretrained=True)
    tokens = open_clip.get_tokenizer(f"local-dir:{mini_embedder}")(["a red car on sand"])
    with torch.no_grad():
        assert model.encode_image(preprocess(PICTURE)[None]).shape == model.encode_text(tokens).shape


def test_the_style_encoder_is_a_timm_folder() -> None:
    encoder = timm.create_model(f"local-dir:{MINI / 'style_encoder'}", pretrained=True).eval()
    size = encoder.pretrained_cfg["input_size"]
    with torch.no_grad():
        assert encoder(torch.zeros(1, *size)).shape == (1, encoder.num_features)
