"""The usage example of a card: for each family, Python that draws with what was published."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from peft import LoraConfig, get_peft_model_state_dict
from PIL import Image
from publishing_inputs import card_inputs, tell_choice

from director_diffusion.families import get_family
from director_diffusion.families.usage import Example
from director_diffusion.pretraining.flux_parts import untrained_pipeline
from director_diffusion.pretraining.specs import DenoiserPart
from director_diffusion.publishing.card import write_model_card
from director_diffusion.publishing.folder_hub import FolderHub
from director_diffusion.publishing.inputs import WEIGHTS, CardInputs, Picture
from director_diffusion.publishing.publish import publish
from director_diffusion.storage import Store

EXAMPLE = Example(
    base="black-forest-labs/FLUX.1-Krea-dev",
    revision="0123",
    adapter="studio/nolan-krea_lora",
    weights="lora.safetensors",
    prompt='nolan style, a sign that says "stop\\go"',
    width=1216,
    height=656,
    steps=28,
    guidance=3.5,
    guidance_kind="embedded",
    max_tokens=512,
    dtype="bfloat16",
)
PIXELS = DenoiserPart(
    steps=1, batch_size=1, lr=1e-3, patch=4, heads=2, head_dim=12, rope=(4, 4, 4), layers=1, single_layers=1,
    prompt_tokens=8, text_width=32, pooled_width=32, text_layers=1,
)  # fmt: skip


def test_flux_is_used_with_diffusers_alone() -> None:
    assert (
        get_family("flux").usage(EXAMPLE)
        == r"""import torch
from diffusers import FluxPipeline

pipe = FluxPipeline.from_pretrained("black-forest-labs/FLUX.1-Krea-dev", revision="0123", torch_dtype=torch.bfloat16)
pipe.load_lora_weights("studio/nolan-krea_lora", weight_name="lora.safetensors")
image = pipe(
    "nolan style, a sign that says \"stop\\go\"",
    width=1216, height=656, num_inference_steps=28, guidance_scale=3.5,
    max_sequence_length=512,
).images[0]"""
    )
    classifier_free = get_family("flux").usage(replace(EXAMPLE, revision=None, guidance_kind="classifier_free"))
    assert '("black-forest-labs/FLUX.1-Krea-dev", torch_dtype' in classifier_free
    assert 'num_inference_steps=28, true_cfg_scale=3.5, negative_prompt="",\n' in classifier_free


def test_a_pixel_base_on_the_hub_is_fetched_at_its_revision() -> None:
    code = get_family("flux_pixel").usage(EXAMPLE)
    compile(code, "README.md", "exec")
    assert "from huggingface_hub import hf_hub_download, snapshot_download\n" in code
    assert 'Path(snapshot_download("black-forest-labs/FLUX.1-Krea-dev", revision="0123"))' in code
    assert r'"nolan style, a sign that says \"stop\\go\""' in code


@pytest.fixture
def mini_card(mini_base: Path, tmp_path: Path) -> CardInputs:
    (tmp_path / "director-diffusion").mkdir()
    (tmp_path / "director-diffusion/mini").symlink_to(mini_base)
    return card_inputs(tmp_path)


@pytest.fixture
def pixel_card(tmp_path: Path) -> CardInputs:
    torch.manual_seed(0)
    untrained_pipeline(PIXELS, channels=1, vae=None).save_pretrained(tmp_path / "director-diffusion/mnist")
    card = card_inputs(tmp_path)
    base = {"family": "flux_pixel", "model_id": "director-diffusion/mnist", "max_prompt_tokens": 8}
    return replace(card, base=card.base.model_copy(update=base))


@pytest.mark.parametrize("family", ["mini_card", "pixel_card"])
def test_the_example_of_a_card_draws_with_what_was_published(
    family: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card: CardInputs = request.getfixturevalue(family)
    denoiser = FluxTransformer2DModel.from_pretrained(tmp_path / card.base.model_id / "transformer")
    denoiser.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q"], init_lora_weights=False))
    FluxPipeline.save_lora_weights(tmp_path, transformer_lora_layers=get_peft_model_state_dict(denoiser))
    tell_choice(tmp_path / WEIGHTS)
    sampling = card.plan.sampling.model_copy(update={"steps": 2})
    card = replace(
        card,
        adapter=tmp_path / WEIGHTS,
        plan=card.plan.model_copy(update={"sampling": sampling}),
        pictures=(Picture(Image.new("RGB", (32, 16)), "nolan style, one car", 11),),
    )
    repo, hub = write_model_card(card, tmp_path / "card"), Store(str(tmp_path / "hub"))
    publish(repo, FolderHub(hub), card.repo_id, tag="v1")
    text = (repo / "README.md").read_text()
    assert f"`{card.base.model_id}` is not on the Hub: give the folder that holds this base" in text

    monkeypatch.chdir(tmp_path)  # where the base's name is its folder
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", hub.files.root)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code = text.split("```python\n")[1].split("```")[0]
    image, plain = run(code), run(without_adapter(code))
    assert image.size == plain.size == (32, 16)
    assert image.tobytes() != plain.tobytes()
    assert image.tobytes() == run(code).tobytes()


def run(code: str) -> Image.Image:
    names: dict[str, Image.Image] = {}
    torch.manual_seed(0)
    exec(compile(code, "README.md", "exec"), names)
    return names["image"]


def without_adapter(code: str) -> str:
    lines = code.splitlines()
    kept = [line for line in lines if not line.startswith(("pipe.load_lora_weights", "painter.attach"))]
    assert len(kept) == len(lines) - 1
    return "\n".join(kept)
